from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold.core.errors import PlanError, RunError
from tenfold.core.plan import Choice, Plan
from tenfold.core.report import LayerReport, Measures, Report
from tenfold.runs import directory
from tenfold.runs.directory import RunDirectory

SOURCE = Path(directory.__file__).parents[2]
REPORT = Report(
    before=Measures(params=100, macs=2000, accuracy=91.5, size_bytes=400, latency_ms=1.25),
    after=Measures(params=20, macs=500),
    layers=(LayerReport("conv", Choice("btd", (4, 2, 2)), "", (80, 10), (1500, 300), 0.25, 0.125),),
    settings={"scheme": "auto"},
    seconds={"fit": 1.5},
    versions={"torch": "2"},
    history=({"epoch": 1},),
)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs" / "first")


def test_create_makes_parents_and_takes_an_empty_folder(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "a" / "b" / "c")
    assert run.path.is_dir()
    assert list(run.path.iterdir()) == []
    assert RunDirectory.create(str(run.path)).path == run.path


def test_create_refuses_what_exists(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "report.json").write_text("old")
    (tmp_path / "file").write_text("old")
    for name in ("full", "file"):
        with pytest.raises(RunError, match=f"{name}: it exists; choose another --out or remove it"):
            RunDirectory.create(tmp_path / name)
    with pytest.raises(RunError, match="Not a directory; choose another --out"):
        RunDirectory.create(tmp_path / "file" / "run")
    assert (tmp_path / "full" / "report.json").read_text() == "old"
    assert (tmp_path / "file").read_text() == "old"


def test_create_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="File name too long"):
        RunDirectory.create(tmp_path / "a" / "b" / ("n" * 300))
    assert list(tmp_path.iterdir()) == []


def test_open(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"none: there is no such folder; give the --out"):
        RunDirectory.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"holds none of job.toml, plan.json, .*report.json"):
        RunDirectory.open(run.path)
    run.job.write_text("")
    assert RunDirectory.open(run.path).path == run.path
    with pytest.raises(RunError, match="it is a file"):
        RunDirectory.open(run.job)


def test_names_of_the_files(run: RunDirectory) -> None:
    paths = (run.job, run.plan, run.events_file, run.weights, run.model, run.onnx, run.report)
    assert [path.relative_to(run.path).as_posix() for path in paths] == [
        "job.toml",
        "plan.json",
        "events.jsonl",
        "model.safetensors",
        "model.json",
        "model.onnx",
        "report.json",
    ]


def test_plan_and_report_come_back(run: RunDirectory) -> None:
    plan = Plan({"conv": Choice("btd", (16, 3, 3)), "fc": None})
    run.write_plan(plan)
    run.write_report(REPORT)
    assert run.read_plan() == plan
    assert run.read_report() == REPORT
    assert sorted(path.name for path in run.path.iterdir()) == ["plan.json", "report.json"]


def test_plan_and_report_that_cannot_be_read(run: RunDirectory) -> None:
    for read, path in ((run.read_plan, run.plan), (run.read_report, run.report)):
        with pytest.raises(RunError, match=rf"{path.name}: No such file or directory; run the job again"):
            read()
        path.write_bytes(b"\xff")
        with pytest.raises(RunError, match=rf"{path.name}: .*utf-8"):
            read()
    run.plan.write_text('{"conv": 3}')
    with pytest.raises(PlanError, match=r"plan\.json: plan, layer 'conv'"):
        run.read_plan()
    for text in ("{", "[]", "{}", REPORT.to_json().replace('"before"', '"earlier"')):
        run.report.write_text(text)
        with pytest.raises(RunError, match=r"first/report\.json: this is no report"):
            run.read_report()


def test_events_come_back_in_order(run: RunDirectory) -> None:
    assert list(run.events()) == []
    rows = [{"epoch": 1, "loss": 0.5}, {"text": "two\nlines\u2028ä"}, {}]
    for row in rows:
        run.append_event(row)
    assert list(run.events()) == rows
    assert run.events_file.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("torn", ['{"epo', '{"epoch": 2}', "x" * 10_000])
def test_event_that_a_kill_cut_short(run: RunDirectory, torn: str) -> None:
    run.append_event({"epoch": 1})
    with run.events_file.open("a") as file:
        file.write(torn)
    assert list(run.events()) == [{"epoch": 1}]
    run.append_event({"epoch": 3})
    assert run.events_file.read_text() == '{"epoch": 1}\n{"epoch": 3}\n'
    run.events_file.write_text(torn)
    run.append_event({"epoch": 4})
    assert list(run.events()) == [{"epoch": 4}]


@pytest.mark.parametrize("line", ["{'epoch': 1}", "[1]", ""])
def test_event_that_is_none(run: RunDirectory, line: str) -> None:
    run.events_file.write_text('{"epoch": 1}\n' + line + '\n{"epoch": 2}\n')
    with pytest.raises(RunError, match=r"events\.jsonl, line 2: .*; remove that line"):
        list(run.events())


def test_event_on_a_full_disk_is_not_there_by_half(run: RunDirectory) -> None:
    script = (
        "import resource, signal, sys\n"
        "from tenfold.core.errors import RunError\n"
        "from tenfold.runs.directory import RunDirectory\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))\n"
        "run = RunDirectory(sys.argv[1])\n"
        "for length in (5, 50):\n"
        "    try:\n"
        "        run.append_event({'text': 'n' * length})\n"
        "    except RunError as error:\n"
        "        print(error, end='')\n"
    )
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    call = [sys.executable, "-c", script, str(run.path)]
    done = subprocess.run(call, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith(f"cannot write {run.events_file}: ")
    assert run.events_file.read_text() == '{"text": "nnnnn"}\n'


def test_event_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"events\.jsonl: No such file"):
        RunDirectory(tmp_path / "none").append_event({})


def test_runs_that_start_together_share_a_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, parent, make = tmp_path / "runs" / "other", tmp_path / "runs", Path.mkdir

    def after_the_other(path: Path, *args: object, **options: object) -> None:
        if path == parent and not path.exists():
            os.makedirs(other)  # noqa: PTH103 (Path.mkdir is what is patched)
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", after_the_other)
    RunDirectory.create(parent / "mine")
    assert other.is_dir()
    assert (parent / "mine").is_dir()
