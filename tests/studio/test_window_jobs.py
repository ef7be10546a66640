"""Jobs in the window: from the form to the finished result, and what can go wrong on the way."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import save_file

from studio_samples import PASSWORD
from tenfold.core.plan import Plan
from tenfold.runs.directory import RunDirectory
from tenfold.studio.form import Form
from tenfold.zoo.build import build
from window_driver import Heartbeat

pytestmark = pytest.mark.slow

_LONGEST_S = 0.1  # that the window may not look at events
_STEPS = 300  # of a recovery that is not over before it is cancelled, also where nothing else runs


@pytest.fixture
def user(user):
    """One who is in."""
    user.begin()
    return user


@pytest.fixture
def digits(tmp_path):
    """A form for a small network on the digits of scikit-learn."""
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    save_file(build("small", classes=10, channels=1).state_dict(), weights)
    values = {
        "arch": "small",
        "data": "digits",
        "weights": str(weights),
        "budget": {"params": 0.5},
        "scheme": "svd",
        "calibration": 64,
        "held_out": 100,
        "measured": 0,
        "recovery_steps": 6,
        "epochs": 1,
        "schedule": "cosine-cyclic",
        "workers": 1,
        "threads": 1,
    }
    return lambda **more: Form({**values, **more})


def start(user, form):
    """Start a job from the form; gives its page."""
    page = user.open("new", form=form)
    user.button("Start job").invoke()
    user.until(lambda: user.window.shell.page == "jobs")
    assert page is not user.page
    user.until(lambda: user.page.chosen is not None)
    return user.page


def chosen(user, state, number=1):
    """Wait until the job that is chosen is this one, in some state; gives it."""
    page = user.page

    def reached():
        here = page.chosen is not None and page.chosen.id == number
        if here and page.chosen.over:
            assert page.chosen.state == state, (page.chosen.error, page._logged)
        return here and page.chosen.state == state

    user.until(reached)
    user.look(1)
    return page.chosen


def test_a_job_from_the_form_to_its_results_while_the_window_lives(user, digits, display):
    heart = Heartbeat(user.window, display)
    heart.start()
    page = start(user, digits())
    user.until(lambda: page._curves._curve is not None)
    job = chosen(user, "done")
    heart.stop()
    assert len(heart.gaps) > 100
    assert max(heart.gaps) < _LONGEST_S, sorted(heart.gaps)[-5:]
    assert page._curves._curve.phase == "training"
    assert page._curves._curve.judged
    assert "run directory:" in page._logged

    user.button("Results").invoke()
    user.until(lambda: user.window.shell.page == "results" and user.page._seen is not None)
    report = RunDirectory(job.run_directory).read_report()
    texts = user.page.cards.texts()
    assert texts["params"][0] == f"{report.after.params:,}"
    assert texts["accuracy"][0] == f"{report.after.accuracy:.2f}"
    assert report.after.params <= 0.5 * report.before.params
    rows = user.page.plan.table.get_children()
    assert list(rows) == [layer.name for layer in report.layers]


def test_a_plan_is_edited_and_run_again(user, digits):
    start(user, digits())
    first = chosen(user, "done")
    page = user.open("results", run=first.run_directory)
    user.until(lambda: page._seen is not None)
    before = RunDirectory(first.run_directory).read_plan()
    layer = next(iter(before.factorised))
    page.plan.table.selection_set(layer)
    user.look()
    page.plan.rank.set("2, zwei")
    _plan_tab(page, user)
    user.button("Change layer", page).invoke()
    user.look()
    assert "no list of numbers" in user.told
    assert page.plan.plan == before
    page.plan.rank.set("2")
    user.button("Change layer", page).invoke()
    assert page.plan.plan[layer].rank == (2,)
    user.button("Run again with this plan ...", page).invoke()
    user.until(lambda: user.window.shell.page == "new")
    form = user.page.parameters.form
    assert (form.text("budget"), form.text("out")) == ("", "")
    user.button("Start job").invoke()
    user.until(lambda: user.window.shell.page == "jobs")
    second = chosen(user, "done", 2)
    assert second.id != first.id
    after = RunDirectory(second.run_directory).read_plan()
    assert after == before.with_layer(layer, after[layer])
    assert after[layer].rank == (2,)
    assert RunDirectory(first.run_directory).read_plan() == before

    page = user.open("results")
    user.until(lambda: len(page.comparing.runs.get_children()) == 2)
    page.comparing.runs.selection_set(*page.comparing.runs.get_children())
    page.comparing.button.invoke()
    user.until(lambda: page.comparing.table.get_children())
    first_row = page.comparing.table.item(page.comparing.table.get_children()[0], "values")
    assert len(first_row) == 3


def _plan_tab(page, user):
    """Bring the plan to the front."""
    book = page.plan.master.master
    book.select(page.plan.master)
    user.look()


def test_a_job_is_cancelled_and_gone_on_with(user, digits):
    page = start(user, digits(recovery_steps=_STEPS, recovery_batch=64))
    waiting = user.window.store.queue.add(user.window.session, "compress", digits().settings().as_dict())
    user.until(lambda: page._bar.cget("value") and "recovering" in str(page._headline.cget("text")))
    assert user.window.store.queue.job(user.window.session, waiting.id).state == "queued"
    number = page.chosen.id
    user.button("Cancel", page).invoke()
    user.until(lambda: page.chosen is not None and page.chosen.id == number and page.chosen.over)
    assert page.chosen.state == "cancelled"
    assert page.chosen.has_work
    user.look(1)
    assert str(user.button("Cancel", page).cget("state")) == "disabled"
    user.button("Resume", page).invoke()
    user.until(lambda: page.chosen.state in ("queued", "running"))
    job = chosen(user, "done")
    assert job.id == number
    steps = [
        row["step"]
        for row in RunDirectory(job.run_directory).read_report().history
        if row["phase"] == "recovery"
    ]
    assert steps == list(range(1, _STEPS + 1))


def test_a_job_that_dies_or_loses_its_folder_says_so(user, digits):
    page = start(user, digits(recovery_steps=20_000))
    user.until(lambda: "recovering" in str(page._headline.cget("text")))
    shutil.rmtree(page.chosen.run_directory)
    user.until(lambda: page.chosen.over)
    assert page.chosen.state == "failed"
    user.until(lambda: "was removed or moved" in str(page._error.cget("text")))
    assert str(user.button("Resume", page).cget("state")) == "normal"


def test_a_second_user_cannot_see_the_first_ones_runs(user, digits):
    accounts = user.window.store.accounts
    given = accounts.add(user.window.session, "Grace")
    start(user, digits())
    job = chosen(user, "done")
    user.window.log_out()
    session = accounts.login("Grace", given)
    accounts.change_password(session, given, f"{PASSWORD} or so")
    user.log_in("Grace", f"{PASSWORD} or so")
    user.until_in()
    page = user.open("jobs")
    user.until(lambda: not page._asking)
    assert page.table.get_children() == ()
    assert page.chosen is None
    results = user.open("results")
    user.look(0.5)
    assert results.choice.run is None
    assert results.cards.texts()["params"] == ("", "")
    refused = []
    page.ask_store(lambda: user.window.store.queue.log(user.window.session, job.id), print, refused.append)
    user.until(lambda: refused)
    assert "no job 1 of yours" in str(refused[0])


def test_what_a_job_would_do_is_said_before_it_is_started(user, digits):
    page = user.open("new", form=digits())
    page.preview()
    user.until(lambda: "training:" in str(page.said.cget("text")))
    said = str(page.said.cget("text"))
    page.start()
    user.until(lambda: user.window.shell.page == "jobs")
    job = chosen(user, "done")
    after = RunDirectory(job.run_directory).read_report().after
    assert f"→ {after.params:,} (" in said
    assert f"→ {after.macs:,} (" in said


def test_a_result_is_exported_from_its_page(user, digits):
    start(user, digits(recovery_steps=0, epochs=0))
    run = chosen(user, "done").run_directory
    page = user.open("results", run=run)
    user.until(lambda: page._seen is not None)
    menu = page.nametowidget(page._export.cget("menu"))
    titles = [menu.entrycget(place, "label") for place in range(menu.index("end") + 1)]
    assert titles == ["ONNX", "ONNX, 8 bits", "torch.export", "safetensors"]
    menu.invoke(titles.index("torch.export"))
    user.until(lambda: user.window.shell.page == "jobs")
    chosen(user, "done", 2)
    assert f"exported to {run / 'model.pt2'}" in user.page._logged
    exported = torch.export.load(run / "model.pt2")
    params = sum(tensor.numel() for tensor in exported.parameters())
    assert params == RunDirectory(run).read_report().after.params


def test_plans_that_are_kept_are_plans(user, digits):
    start(user, digits())
    job = chosen(user, "done")
    page = user.open("results", run=job.run_directory)
    user.until(lambda: page._seen is not None)
    page.rerun()
    user.until(lambda: user.window.shell.page == "new")
    (kept,) = (user.window.store.path / "plans").iterdir()
    assert Plan.from_json(kept.read_text()) == RunDirectory(job.run_directory).read_plan()
