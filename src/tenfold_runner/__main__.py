"""``python -m tenfold_runner``, and where a frozen program begins."""

from __future__ import annotations

import os
import sys

from tenfold_runner.command import main

# NumPy only moves pixels here: threads for linear algebra would cost a tenth of a second of processor time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.exit(main())
