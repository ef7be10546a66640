"""The page of results: its plots, what leaves it, and the keyboard on it."""

from __future__ import annotations

import json
import os

import pytest
from PIL import Image
from typer.testing import CliRunner

from run_samples import report, write_run
from studio_samples import PASSWORD
from tenfold.cli.app import app
from tenfold.core.plan import Plan
from tenfold.runs.directory import RunDirectory
from tenfold.studio.ui.page import scaled
from window_driver import Heartbeat, User

pytestmark = pytest.mark.slow

_LONGEST_S = 0.1  # that the window may not look at events


@pytest.fixture
def user(user):
    """One who is in."""
    user.begin()
    return user


@pytest.fixture
def run(tmp_path):
    """A run that has searched, recovered and trained."""
    return write_run(tmp_path / "run").path


def tab(user, page, title):
    """Bring a tab to the front; gives the notebook."""
    book = page.cards.master.container.master
    book.select(next(name for name in book.tabs() if book.tab(name, "text") == title))
    user.look()
    return book


def looked_at(user, run):
    """The page with a run on it."""
    page = user.open("results")
    page.choice.choose(run)
    user.until(lambda: page._seen is not None)
    return page


def drawn(page):
    """Whether all plots are there."""
    return page.plots.pictures and len(page.plots._kept) == len(page.plots.pictures)


def test_the_plots_are_those_of_the_report_and_are_drawn_while_the_window_lives(user, run, display, tmp_path):
    page = looked_at(user, run)
    assert page.plots._asked is None  # nobody looks at them
    heart = Heartbeat(user.window, display)
    heart.start()
    tab(user, page, "Plots")
    user.until(lambda: drawn(page))
    user.look(0.5)
    heart.stop()
    assert max(heart.gaps) < _LONGEST_S, sorted(heart.gaps)[-5:]
    called = ["figures", str(run), str(tmp_path / "figures"), "--json", f"--dots={scaled(page, 100)}"]
    figures = json.loads(CliRunner().invoke(app, called).stdout)
    assert len(figures) == 8
    assert [plot.caption for plot in page.plots._plots] == [figure["caption"] for figure in figures]
    shown = set(user.texts(page.plots))
    assert {"Plan", "Recovery without labels", "Fine-tuning", "Search of ranks"} <= shown
    for plot, figure in zip(page.plots._plots, figures, strict=True):
        with Image.open(figure["path"]) as image:
            assert plot.image.tobytes() == image.convert("RGB").tobytes()


def test_plots_fit_the_window_follow_its_mode_and_go_with_their_run(user, run, tmp_path):
    page = looked_at(user, run)
    book = tab(user, page, "Plots")
    user.until(lambda: drawn(page))
    assert max(picture.width() for picture in page.plots._kept) == 9 * scaled(
        page, 100
    )  # the widest has 9 inches
    user.window.geometry("640x480+0+0")
    user.until(lambda: max(picture.width() for picture in page.plots._kept) < 480)
    assert all(x.winfo_width() <= page.plots.winfo_width() for x in page.plots.pictures)
    top = page.plots.yview()[0]
    book.focus_force()
    user.look()
    book.event_generate("<Next>")
    user.look()
    assert page.plots.yview()[0] > top
    assert page.plots._plots[0].image.getpixel((0, 0)) == (255, 255, 255)
    user.window.use_mode("dark")
    user.until(lambda: not drawn(page))
    user.until(lambda: drawn(page))
    assert max(page.plots._plots[0].image.getpixel((0, 0))) < 50
    asked = page.plots._asked
    RunDirectory.create(tmp_path / "half").write_plan(Plan({"conv": None}))
    page.choice.choose(tmp_path / "half")
    user.until(lambda: "has measured nothing yet" in str(page.plots.said.cget("text")))
    assert asked.withdrawn
    assert not page.plots.pictures


def test_the_folder_of_a_run_is_opened(user, run, tmp_path, monkeypatch):
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    opener.chmod(0o700)
    monkeypatch.setenv("PATH", f"{opener.parent}{os.pathsep}{os.environ['PATH']}")
    page = looked_at(user, run)
    user.button("Open folder", page).invoke()
    user.until(lambda: (tmp_path / "opened").exists() and (tmp_path / "opened").read_text())
    assert (tmp_path / "opened").read_text() == f"{run}\n"
    run.rename(tmp_path / "elsewhere")
    user.button("Open folder", page).invoke()
    user.until(lambda: user.told)
    assert user.told == f"cannot open {run}: there is no such folder; it was moved or removed"


def test_runs_to_compare_are_chosen_with_the_keyboard(user, tmp_path):
    queue, session = user.window.store.queue, user.window.session
    for number in (1, 2, 3):
        job = queue.add(session, "demo", {"seed": number}, tmp_path / f"run-{number}")
        write_run(tmp_path / f"run-{number}", report(settings={"seed": number}))
        with queue._database.transaction() as connection:
            connection.execute("UPDATE job SET state = 'done', ended = ? WHERE id = ?", (number, job.id))
    page = user.open("results")
    tab(user, page, "Compare")
    user.until(lambda: len(page.comparing.runs.get_children()) == 3)
    page.comparing.button.invoke()
    assert "Choose two runs at least" in user.told
    runs = page.comparing.runs
    runs.focus_force()
    user.look()
    runs.event_generate("<Shift-Down>")
    user.look()
    assert runs.selection() == ("3", "2")
    runs.event_generate("<Down>")
    user.look()
    assert runs.selection() == ("1",)
    runs.event_generate("<Shift-Up>")
    user.look()
    assert runs.selection() == ("2", "1")
    page.comparing.button.focus_force()
    user.look()
    page.comparing.button.event_generate("<space>")
    user.until(lambda: page.comparing.table.get_children())
    titles = [page.comparing.table.heading(name, "text") for name in page.comparing.table.cget("columns")]
    assert titles == ["", "run-2", "run-1"]
    rows = [page.comparing.table.item(row, "values") for row in page.comparing.table.get_children()]
    assert ("seed", "2", "1") in rows
    page.comparing.table.selection_set(page.comparing.table.get_children()[rows.index(("seed", "2", "1"))])
    user.look()
    assert str(page.comparing.whole.cget("text")) == "seed: 2;  1"


def test_the_panes_of_jobs_are_found_as_they_were_left(user, tmp_path):
    user.window.geometry("900x700+0+0")
    for share in (None, 0.6):
        page = user.open("jobs")
        user.look(0.3)
        (panes,) = (widget for widget in page.winfo_children() if widget.winfo_class() == "TPanedwindow")
        found = panes.sashpos(0) / panes.winfo_height()
        if share is None:
            assert abs(found - 0.6) > 0.1
            panes.sashpos(0, round(0.6 * panes.winfo_height()))
            panes.event_generate("<ButtonRelease-1>", x=5, y=panes.sashpos(0))
            user.window.close()
            assert json.loads((tmp_path / "data" / "window.json").read_text())["splits"].keys() == {"jobs"}
            user.window = User.at(tmp_path / "data").window
            user.log_in("Ada", PASSWORD)
            user.until_in()
        else:
            assert found == pytest.approx(share, abs=0.01)
