"""The displays of the tests: windows of one process on several of them, one after the other."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

WINDOWS = """
import os
import tkinter as tk
from display import lasting_display

def show():
    screen = lasting_display()
    root = tk.Tk(screenName=screen.name)
    tk.Label(root, text="seen").pack()
    root.update()
    root.destroy()
    return root, screen.name

shown = [show() for _ in range(3)]
print(*(name for _, name in shown), flush=True)
os._exit(0)  # as the processes of pytest-xdist do
"""


@pytest.mark.slow
def test_windows_of_one_process_outlive_each_other_and_leave_no_display() -> None:
    told = subprocess.run(
        [sys.executable, "-c", WINDOWS],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr  # Tk ends a process whose display goes with 1
    sockets = [Path(f"/tmp/.X11-unix/X{name[1:]}") for name in told.stdout.split()]
    assert len(sockets) == 3
    stop = time.monotonic() + 60
    while any(socket.exists() for socket in sockets):
        assert time.monotonic() < stop, "a display outlives the process that started it"
        time.sleep(0.05)
