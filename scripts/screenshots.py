"""Pictures of every page of the desktop program, for docs/studio.md, of real jobs on a screen of its own.

    python scripts/screenshots.py [FOLDER]

Needs Xvfb, and a font with Chinese signs (system-packages.txt). Takes some minutes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import ImageGrab

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from display import lasting_display  # noqa: E402
from tenfold.studio.form import Form  # noqa: E402
from tenfold.studio.jobs import Job  # noqa: E402
from window_driver import User  # noqa: E402 the way in which tests use the window

_SIZE = (1040, 680)
_SMALL = (640, 480)
_COLOURS = 64  # enough for flat widgets, and a tenth of the bytes


def main() -> None:
    """Take all of them."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs" / "images").absolute()
    display = lasting_display(f"{_SIZE[0]}x{_SIZE[1]}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DISPLAY=display.name, LANG="C.UTF-8", OMP_NUM_THREADS="1")
        os.chdir(folder)  # what the form names lies here
        user = User.at(Path(folder) / "data")
        user.window.geometry(f"{_SIZE[0]}x{_SIZE[1]}+0+0")
        camera = _Camera(user, out)
        camera.take("login")
        user.begin()
        _jobs(user, camera, _demo(user))
        _rest(user, camera)
        user.leave()


class _Camera:
    """Pictures of the window."""

    def __init__(self, user: User, out: Path) -> None:
        """Where they go."""
        self.user, self.out = user, out

    def take(self, name: str, size: tuple[int, int] = _SIZE) -> None:
        """One picture, once the window has settled."""
        self.user.look(0.6)
        picture = ImageGrab.grab(xdisplay=os.environ["DISPLAY"]).crop((0, 0, *size))
        path = self.out / f"studio-{name}.png"
        picture.quantize(_COLOURS).save(path, optimize=True)
        sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


def _demo(user: User) -> Job:
    """A finished run, whose network the other jobs start from."""
    queue, session = user.window.store.queue, user.window.session
    assert session is not None  # noqa: S101 a script
    job = queue.add(session, "demo", {})
    user.until(lambda: queue.job(session, job.id).over)
    return queue.job(session, job.id)


def _jobs(user: User, camera: _Camera, made: Job) -> None:
    """The form, and jobs of all kinds."""
    form = Form.load(made.run_directory / "job.toml")
    for name, text in (
        ("out", ""),
        ("cache", ""),
        ("weights", "digits.safetensors"),
        ("epochs", "90"),
        ("schedule", "cosine-cyclic"),
        ("cycles", "3"),
    ):
        form.set(name, text)
    shutil.copy(made.run_directory / "original.safetensors", "digits.safetensors")
    page = user.open("new", form=form)
    camera.take("new-job")
    page.preview()
    user.until(lambda: "training:" in str(page.said.cget("text")))
    camera.take("preview")
    form.set("epochs", "-6")
    page.load(form)
    page.parameters.open_at("epochs")
    camera.take("validation")
    form.set("epochs", "90")
    form.set("recovery_steps", "60")
    page.load(form)
    page.start()
    user.until(lambda: user.page is not page)
    jobs = user.page
    shorter = {**form.settings().as_dict(), "out": None, "epochs": 3}
    user.window.store.queue.add(user.window.session, "compress", shorter)
    user.until(lambda: jobs.chosen is not None and jobs.chosen.state == "running")
    user.until(lambda: (x := jobs._curves._curve) is not None and x.phase == "training" and len(x.judged) > 1)
    camera.take("jobs")
    user.until(lambda: all(job.over for job in user.window.store.queue.jobs(user.window.session)))


def _rest(user: User, camera: _Camera) -> None:
    """What comes of the jobs."""
    page = user.open("results")
    user.until(lambda: page._seen is not None)
    camera.take("results")
    page.plan.master.master.select(page.plan.master)
    camera.take("plan")
    page.comparing.master.select(page.plots.container)
    user.until(lambda: page.plots.pictures and len(page.plots._kept) == len(page.plots.pictures))
    camera.take("plots")
    page.comparing.master.select(page.comparing)
    page.comparing.runs.selection_set(*page.comparing.runs.get_children())
    page.comparing.button.invoke()
    user.until(page.comparing.table.get_children)
    page.comparing.table.selection_set(page.comparing.table.get_children()[-1])
    camera.take("compare")
    page = user.open("package")
    user.until(lambda: page.choice.run)
    page.target.set("web")
    page._obey()
    page.pack_run()
    user.until(lambda: page.package is not None)
    camera.take("package")
    user.open("manual", key="distillation")
    camera.take("manual")
    page = user.open("accounts")
    page.add("Grace", administrator=False)
    user.until(lambda: page.given.get() and page.users.exists("Grace"))
    camera.take("accounts")
    user.window.use_mode("dark")
    user.open("results")
    user.page.cards.master.master.master.master.select(0)
    camera.take("dark")
    user.window.use_mode("light")
    user.window.use_language("zh")
    user.open("jobs", number=2)
    camera.take("chinese")
    user.window.geometry(f"{_SMALL[0]}x{_SMALL[1]}+0+0")
    user.open("new")
    camera.take("small", _SMALL)


if __name__ == "__main__":
    main()
