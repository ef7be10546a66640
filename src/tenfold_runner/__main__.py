"""``python -m tenfold_runner``, and where a frozen program begins."""

from __future__ import annotations

import sys

from tenfold_runner.command import main

sys.exit(main())
