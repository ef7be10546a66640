"""A window from which files are dragged to another one, as from a file manager.

Called with the place to drop them (x, y) and their addresses ("file:///..."); prints what became of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tkinter as tk
from pathlib import Path

from tkinterdnd2 import COPY, DND_FILES, TkinterDnD

HERE = (960, 660)  # in a corner of the hidden display
STEPS = 5


def start_dragging(display: str, place: tuple[int, int], *files: Path) -> subprocess.Popen[str]:
    """Drag files to a place on a display; the process prints "copy" where a window took them."""
    command = [sys.executable, __file__, *map(str, place), *(file.as_uri() for file in files)]
    environment = {**os.environ, "DISPLAY": display}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Drag once."""
    x, y, addresses = int(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3:])
    root = TkinterDnD.Tk()
    root.geometry(f"40x40+{HERE[0] - 20}+{HERE[1] - 20}")
    # Tk would send other kinds of text as numbers
    root.tk.eval("proc ::tkdnd::xdnd::getFormatForType {type} {return UTF8_STRING}")
    label = tk.Label(root, text="files")
    label.pack(fill="both", expand=True)
    label.drag_source_register(1, DND_FILES)
    label.dnd_bind("<<DragInitCmd>>", lambda _: ((COPY,), (DND_FILES,), addresses))
    label.dnd_bind("<<DragEndCmd>>", lambda event: (sys.stdout.write(event.action), root.destroy()))
    root.after(500, subprocess.Popen, ["xdotool", *moves(x, y)])
    root.mainloop()


def moves(x: int, y: int) -> list[str]:
    """What a hand does with the mouse."""
    path = [
        [HERE[0] + (x - HERE[0]) * n // STEPS, HERE[1] + (y - HERE[1]) * n // STEPS] for n in range(STEPS)
    ]
    steps = [["mousemove", *map(str, place), "sleep", "0.2"] for place in [*path, [x, y], [x + 1, y + 1]]]
    pressed = [*steps[0], "mousedown", "1", "sleep", "0.2"]
    return [*pressed, *(word for step in steps[1:] for word in step), "mouseup", "1"]


if __name__ == "__main__":
    main()
