"""The windows of the desktop program."""
