"""The command line, which writes each state that it keeps: a second is then long enough to be killed in."""

from __future__ import annotations

import signal

import tenfold.train.loop
from tenfold.cli.app import main

if __name__ == "__main__":
    # what a shell starts in the background, and all that this starts, ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tenfold.train.loop._SECONDS = 0
    main()
