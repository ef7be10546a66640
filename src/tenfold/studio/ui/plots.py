"""The plots of a run's report, drawn by a process of their own and shown below each other."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ttkbootstrap as ttk
from PIL import Image, ImageTk

from tenfold.core.errors import TenfoldError
from tenfold.studio.language import _
from tenfold.studio.question import Question
from tenfold.studio.ui.page import Page, scaled, scroll_by_keys, wrap

__all__ = ["Plots"]

_DOTS = 100  # to the inch, see `scaled`; as large as the report shows them
_PADDING = 10
_SETTLED_MS = 200  # without a change of size, before plots are fitted to it


@dataclass(frozen=True)
class _Plot:
    """A figure of the report, as large as it was drawn."""

    section: str
    caption: str
    image: Image.Image


class Plots(ttk.ScrolledFrame):
    """The plots of one run, never wider than there is room.

    Nothing is drawn before it is looked at.

    Attributes:
        pictures: a label a plot, from top to bottom.
        said: what stands there as long as there is none.
    """

    def __init__(self, page: Page, book: ttk.Notebook) -> None:
        """A tab of `book`, which is on `page`, with nothing in it."""
        super().__init__(book, auto_hide=False, padding=_PADDING)
        book.add(self.container, text=_("Plots"))
        scroll_by_keys(book, self)
        self.pictures: list[ttk.Label] = []
        self.said = ttk.Label(self, bootstyle="secondary", justify="left")
        wrap(self.said)
        self._page = page
        self._run: Path | None = None
        self._asked: Question | None = None
        self._plots: list[_Plot] = []
        self._kept: list[ImageTk.PhotoImage] = []  # Tk shows nothing of an image that Python forgets
        self._after = ""
        for widget in (self.container, page):
            widget.bind("<Map>", lambda _event: self._draw(), add="+")
        self.bind("<Configure>", lambda _event: self._fit_later(), add="+")
        self.bind("<Destroy>", lambda _event: self._end(), add="+")
        page.window.bind("<<ModeChanged>>", lambda _event: self._draw_anew(), add="+")

    def show(self, run: Path) -> None:
        """Show another run, or the same as it is now."""
        self._run = run
        self._draw_anew()

    def _draw_anew(self) -> None:
        """Forget what is there, and draw it again."""
        if not self.winfo_exists():
            return
        self._end()
        self._show([])
        self._draw()

    def _draw(self) -> None:
        """Have the plots drawn, if they are looked at and nobody is about it."""
        if self._run is None or self._asked is not None or not self.container.winfo_viewable():
            return
        self._say(_("The plots are being drawn ..."))
        folder = tempfile.mkdtemp()
        dark = ["--dark"] if self._page.window.remembered.mode == "dark" else []
        dots = f"--dots={scaled(self, _DOTS)}"
        asked = self._asked = Question("figures", "--json", dots, *dark, "--", str(self._run), folder)
        self._page.ask(
            lambda: _answered(asked, folder),
            lambda plots: self._drawn(asked, plots),
            lambda error: self._not_drawn(asked, error),
        )

    def _drawn(self, asked: Question, plots: list[_Plot]) -> None:
        """Show what was drawn, unless something else is wanted by now."""
        if asked is self._asked:
            self._show(plots)
            if plots:
                self.said.pack_forget()
                self._fit()
            else:
                self._say(_("This run has measured nothing yet that a plot could show."))

    def _not_drawn(self, asked: Question, error: TenfoldError) -> None:
        """Say why there is nothing."""
        if asked is self._asked and self.winfo_exists():
            self._say(str(error))

    def _say(self, text: str) -> None:
        """Say something where plots would be."""
        self.said.configure(text=text)
        self.said.pack(fill="x")

    def _show(self, plots: list[_Plot]) -> None:
        """Make place for other plots."""
        self._plots = plots
        for widget in self.winfo_children():
            if widget is not self.said:
                widget.destroy()
        self._kept, self.pictures = [], []
        section = ""
        for plot in plots:
            if plot.section != section:
                section = plot.section
                ttk.Label(self, text=section, font="TkCaptionFont").pack(anchor="w", pady=(0, 6))
            picture = ttk.Label(self)
            picture.pack(anchor="w")
            caption = ttk.Label(self, text=plot.caption, bootstyle="secondary", justify="left")
            caption.pack(fill="x", pady=(4, 18))
            wrap(caption)
            self.pictures.append(picture)

    def _fit_later(self) -> None:
        """Fit the plots to the width, once that is settled."""
        if self._plots:
            self._forget_after()
            self._after = self.after(_SETTLED_MS, self._fit)

    def _fit(self) -> None:
        """Make each as large as there is room, in a thread."""
        plots, room = self._plots, self.winfo_width() - 2 * _PADDING
        if [picture.width() for picture in self._kept] != [_width(plot.image, room) for plot in plots]:
            images = [plot.image for plot in plots]
            self._page.ask(lambda: _fitted(images, room), lambda fitted: self._put(plots, fitted))

    def _put(self, plots: list[_Plot], images: Sequence[Image.Image], place: int = 0) -> None:
        """Show one after another, so that nothing else has to wait for all."""
        if plots is not self._plots or place == len(images):
            return
        picture = ImageTk.PhotoImage(images[place], master=self)
        self.pictures[place].configure(image=picture)
        self._kept[place : place + 1] = [picture]
        self._after = self.after(1, self._put, plots, images, place + 1)

    def _end(self) -> None:
        """Let nobody draw or fit any more."""
        if self._asked is not None:
            self._asked.withdraw()
            self._asked = None
        self._forget_after()

    def _forget_after(self) -> None:
        """Do not do what was to be done in a while."""
        if self._after:
            self.after_cancel(self._after)
            self._after = ""


def _answered(asked: Question, folder: str) -> list[_Plot]:
    """What the process has drawn into its folder, which goes away.

    Raises:
        StudioError: it could not; or nobody wants it any more.
    """
    try:
        plots = []
        for found in asked.answer():
            with Image.open(found["path"]) as image:
                plots.append(_Plot(found["section"], found["caption"], image.convert("RGB")))
        return plots
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _width(image: Image.Image, room: int) -> int:
    """How wide an image is shown: not wider than it was drawn."""
    return max(1, min(image.width, room))


def _fitted(images: Sequence[Image.Image], room: int) -> list[Image.Image]:
    """Images that fit into a width."""
    fitted = []
    for image in images:
        width = _width(image, room)
        height = max(1, round(image.height * width / image.width))
        same = width == image.width
        fitted.append(image if same else image.resize((width, height), Image.Resampling.LANCZOS))
    return fitted
