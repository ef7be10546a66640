"""The window of a package, in plain Tk."""

from tenfold_runner.window.program import show, tell

__all__ = ["show", "tell"]
