"""The displays of the tests: windows of one process on several of them, one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WINDOWS = """
import tkinter as tk
from display import lasting_display

def show():
    screen = lasting_display()
    root = tk.Tk(screenName=screen.name)
    tk.Label(root, text="seen").pack()
    root.update()
    root.destroy()
    return root, screen.pid

shown = [show() for _ in range(3)]
print(*(pid for _, pid in shown))
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
    pids = told.stdout.split()
    assert len(pids) == 3
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
