"""The window of a package, in plain Tk."""
