"""tenfold: convolutional networks several times smaller and really faster, every rank chosen by itself."""

from tenfold.runs.saved import load

__all__ = ["load"]
