"""The command line, which writes each state that it keeps: a second is then long enough to be killed in."""

from __future__ import annotations

import tenfold.train.loop
from tenfold.cli.app import main

if __name__ == "__main__":
    tenfold.train.loop._SECONDS = 0
    main()
