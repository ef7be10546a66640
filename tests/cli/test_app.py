from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

import tenfold
from job_samples import write_weights
from run_samples import report, write_run
from tenfold.cli.app import app
from tenfold.jobs import delivery
from tenfold.jobs import demo as demo_job
from tenfold.runs.directory import RunDirectory

SOURCE = Path(tenfold.__file__).parents[1]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def changed(inputs: list[str], **changes: str | None) -> list[str]:
    """The options with others in their place; None leaves one out."""
    options = dict(zip(inputs[::2], inputs[1::2], strict=True))
    for name, value in changes.items():
        options[f"--{name.replace('_', '-')}"] = value  # type: ignore[assignment]
    return [text for name, value in options.items() if value is not None for text in (name, value)]


def refused(arguments: list[str], *, left: set[str] | None = None) -> str:
    """The one line on stderr of a job that is refused, and nothing but the inputs left in the folder."""
    before = set(os.listdir()) if left is None else left  # noqa: PTH208
    result = call("compress", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert set(os.listdir()) == before  # noqa: PTH208
    return line


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(SOURCE), str(Path(__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tenfold", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)


def test_compress_prints_the_table_and_names_the_run(ran: tuple[Path, Result]) -> None:
    folder, result = ran
    assert result.exit_code == 0, result.stderr
    report = json.loads((folder / "run/report.json").read_text())
    for side in ("before", "after"):
        assert f"{report[side]['params']:,}" in result.stdout
        assert f"{report[side]['size_bytes']:,}" in result.stdout
    assert result.stdout.endswith("run directory: run\n")
    assert report["settings"]["recovery_steps"] == 2
    assert report["settings"]["flip"] is False


def test_several_budgets_hold_together(ran: tuple[Path, Result]) -> None:
    report = json.loads((ran[0] / "run/report.json").read_text())
    assert report["settings"]["budget"] == {"params": 0.6, "macs": 0.7}
    for name, bound in report["settings"]["budget"].items():
        assert report["after"][name] <= bound * report["before"][name]


def test_options_go_before_the_job_file(ran: tuple[Path, Result]) -> None:
    run = ran[0] / "run"
    result = call("compress", "--job", f"{run}/job.toml", "--out", "planned", "--plan", f"{run}/plan.json")
    assert result.exit_code == 0, result.stderr
    assert Path("planned/plan.json").read_bytes() == (run / "plan.json").read_bytes()
    settings = json.loads(Path("planned/report.json").read_text())["settings"]
    assert (settings["budget"], settings["recovery_steps"], settings["flip"]) == ({}, 2, False)


def test_a_plan_goes_before_the_front_of_a_job_file(ran: tuple[Path, Result]) -> None:
    run = ran[0] / "run"
    job = (run / "job.toml").read_text()
    assert "# front is not set" in job
    Path("front.toml").write_text(job.replace("# front is not set", 'front = "params"'))
    result = call("compress", "--job", "front.toml", "--out", "planned", "--plan", f"{run}/plan.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(Path("planned/report.json").read_text())["settings"]["front"] is None


def test_inspect_lists_layers_with_and_without_a_budget(inputs: list[str]) -> None:
    plain = call("inspect", "--arch", "job_samples:depthwise", "--input", "3x12x12", "--classes", "3")
    assert plain.exit_code == 0, plain.stderr
    assert "Conv2d 16 -> 320, 5x5, 16 groups" in plain.stdout
    assert "no, kept" in plain.stdout
    options = changed(inputs, recovery_steps=None, recovery_batch=None, out=None)
    planned = call("inspect", *options)
    assert planned.exit_code == 0, planned.stderr
    assert "svd" in planned.stdout
    assert "predicted rise" in planned.stdout
    assert "2,171" in planned.stdout  # parameters of the whole network


def test_export_measures_beside_the_original(ran: tuple[Path, Result]) -> None:
    run = ran[0] / "run"
    result = call("export", str(run), "--out", "mine.onnx")
    assert result.exit_code == 0, result.stderr
    report = json.loads((run / "report.json").read_text())
    assert all(f"{report[side]['size_bytes']:,}" in result.stdout for side in ("before", "after"))
    assert result.stdout.endswith("exported to mine.onnx\n")


def test_report_writes_the_page_again_and_shows_the_table(ran: tuple[Path, Result]) -> None:
    run = ran[0] / "run"
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    result = call("report", str(run))
    assert result.exit_code == 0, result.stderr
    assert (run / "report.html").read_bytes() == page
    assert f"{json.loads((run / 'report.json').read_text())['after']['params']:,}" in result.stdout
    assert result.stdout.endswith(f"report: {run / 'report.html'}\n")


def test_report_of_a_run_that_is_not_finished_says_so() -> None:
    RunDirectory.create("half").append_event({"phase": "fit", "done": 1, "total": 9})
    result = call("report", "half")
    assert result.exit_code == 0
    assert (
        result.stderr == "half is not finished; the last it told: fit, 1 of 9; the page shows what is there\n"
    )
    assert result.stdout == "report: half/report.html\n"


def test_figures_are_those_of_the_report_in_its_order() -> None:
    write_run(Path("one"), report())
    result = call("figures", "one", "light", "--json")
    found = json.loads(result.stdout)
    page = re.findall(r'<figcaption id="([^"]*)-caption">([^<]*)<', call_report("one"))
    assert [(Path(x["path"]).stem, x["caption"]) for x in found] == page
    assert len({x["section"] for x in found}) == 4
    text = call("figures", "one", "dark", "--dark", "--dots", "50").stdout
    assert text.splitlines()[0] == f"dark/plan-map.png: {found[0]['caption']}"
    for picture in found:
        in_light = Image.open(picture["path"]).convert("L")
        in_dark = Image.open(Path("dark") / Path(picture["path"]).name).convert("L")
        assert in_dark.width == pytest.approx(in_light.width / 2, abs=1)
        assert in_light.getpixel((0, 0)) > 200
        assert in_dark.getpixel((0, 0)) < 50


def call_report(run: str) -> str:
    """The page of a run, written now."""
    call("report", run)
    return (Path(run) / "report.html").read_text()


def test_figures_of_a_run_that_has_none_and_of_no_run() -> None:
    RunDirectory.create("half").append_event({"phase": "fit", "done": 1, "total": 9})
    result = call("figures", "half", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "half has measured nothing yet" in result.stderr
    Path("file").touch()
    assert "cannot make the folder file/out" in call("figures", "half", "file/out").stderr


def test_compare_shows_a_table_and_writes_a_page_if_asked() -> None:
    for name, scheme in (("one", "btd"), ("two", "tt")):
        write_run(Path(name), report(settings={"scheme": scheme, "seed": 0}))
    RunDirectory.create("half").append_event({"phase": "fit", "done": 1, "total": 9})
    result = call("compare", "one", "two", "half", "--out", "page.html")
    assert result.exit_code == 0, result.stderr
    assert [word in result.stdout for word in ("one", "two", "half", "90.00", "scheme", "tt")] == [True] * 6
    assert "budget" not in result.stdout
    assert result.stdout.endswith("comparison: page.html\n")
    assert result.stderr == "half is not finished; the last it told: fit, 1 of 9.\n"
    assert "<h1>Comparison of runs</h1>" in Path("page.html").read_text()
    assert "seed" not in result.stdout  # alike in the two runs whose settings are known
    assert "comparison: " not in call("compare", "one", "two").stdout


def test_demo_takes_out_and_seed(ran: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path | None, int]] = []

    def demo(out: Path | None, *, seed: int, progress: object) -> RunDirectory:
        assert callable(progress)
        asked.append((out, seed))
        return RunDirectory(ran[0] / "run")

    monkeypatch.setattr(demo_job, "demo", demo)
    result = call("demo", "--out", "d", "--seed", "5")
    assert result.exit_code == 0, result.stderr
    assert asked == [(Path("d"), 5)]
    assert "2,171" in result.stdout
    assert result.stdout.endswith(f"run directory: {ran[0] / 'run'}\n")


def test_version_and_help() -> None:
    assert call("--version").stdout == f"tenfold {version('tenfold')}\n"
    help_text = call("compress", "--help").stdout
    assert all(f"--{name}" in help_text for name in ("job", "arch", "budget", "recovery-steps", "no-flip"))
    assert all(name in call("--help").stdout for name in ("demo", "compress", "report", "compare"))


def test_unknown_layer_in_plan(inputs: list[str]) -> None:
    Path("plan.json").write_text('{"33": null}')
    line = refused(changed(inputs, budget=None, plan="plan.json"))
    path = Path("plan.json").absolute()
    assert line == f"error: {path}: no layer '33' in this network; the nearest is 3"


def test_unknown_scheme_and_architecture(inputs: list[str]) -> None:
    assert refused(changed(inputs, scheme="tuker")).endswith(
        "no scheme 'tuker'; the nearest are tucker, tt-tucker"
    )
    assert "the nearest are" in refused(changed(inputs, arch="resnet21"))
    assert "no factory in job_samples 'tinny'; the nearest is tiny" in refused(
        changed(inputs, arch="job_samples:tinny")
    )


def test_unknown_data(inputs: list[str]) -> None:
    assert "no data set and no path 'digit'; the nearest is digits" in refused(changed(inputs, data="digit"))


def test_nan_weights(inputs: list[str]) -> None:
    write_weights(Path("w.safetensors"), **{"3__weight": torch.full((16, 12, 3, 3), float("nan"))})
    assert "w.safetensors: 3.weight holds NaN or inf" in refused(inputs)


def test_impossible_budget(inputs: list[str]) -> None:
    line = refused(changed(inputs, arch="job_samples:depthwise", weights=None, budget="params=0.1"))
    assert "the smallest possible is" in line
    assert "kept layers: 1 with 8,320 params" in line


def test_checkpoint_of_another_network(inputs: list[str]) -> None:
    write_weights(Path("w.safetensors"), **{"3__weight": torch.zeros(9, 12, 3, 3)})
    assert "w.safetensors does not fit the network; 1 of another shape: 3.weight" in refused(inputs)


def test_text_file_as_checkpoint(inputs: list[str]) -> None:
    Path("w.safetensors").write_text("these are no weights")
    assert "neither a safetensors file nor a torch checkpoint" in refused(inputs)


def test_missing_checkpoint(inputs: list[str]) -> None:
    assert "weights none.pt: there is no such file" in refused(changed(inputs, weights="none.pt"))


def test_broken_image(inputs: list[str]) -> None:
    Path("images/train/bee/7.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    assert "bee/7.png" in refused(inputs)


def test_empty_class_folder(inputs: list[str]) -> None:
    for image in Path("images/train/bee").iterdir():
        image.unlink()
    assert "bee" in refused(inputs)


def test_existing_run_directory(inputs: list[str]) -> None:
    Path("run").mkdir()
    Path("run/mine").write_text("")
    assert "it exists; choose another --out or remove it" in refused(inputs)
    assert os.listdir("run") == ["mine"]  # noqa: PTH208


def test_impossible_out(inputs: list[str]) -> None:
    assert "w.safetensors" in refused(changed(inputs, out="w.safetensors/run"))


def test_neither_budget_nor_plan(inputs: list[str]) -> None:
    assert "neither a budget nor a plan" in refused(changed(inputs, budget=None))


def test_job_file_with_a_wrong_name(inputs: list[str]) -> None:
    Path("job.toml").write_text("epoch = 3\n")
    assert "no setting 'epoch'; the nearest is epochs" in refused([*inputs, "--job", "job.toml"])


def test_other_commands_refuse_in_one_line() -> None:
    write_run(Path("one"))
    bad = (["report", "none"], ["compare", "one"], ["compare", "one", "none"], ["compare", "one", "one"])
    more = (["figures", "none", "out"], ["export", "none"], ["inspect", "--arch", "resnet20"], ["inspect"])
    for arguments in (*bad, *more):
        result = call(*arguments)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 1


def test_unexpected_errors_keep_their_traceback(inputs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "images_of", lambda _: 1 / 0)
    result = call("compress", *inputs)
    assert isinstance(result.exception, ZeroDivisionError)
    assert not Path("run").exists()


def test_interrupt_is_said(inputs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(delivery, "images_of", interrupt)
    result = call("compress", *inputs)
    assert (result.exit_code, result.stderr) == (130, "interrupted; nothing was left behind\n")
    assert not Path("run").exists()


def test_process_refuses_without_a_traceback() -> None:
    done = process("compress", "--arch", "resnet21", "--data", "digits", "--budget", "params=0.5")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no architecture 'resnet21'; the nearest are")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of POSIX")
def test_full_disk(inputs: list[str]) -> None:
    before = set(os.listdir())  # noqa: PTH208
    # A file may have 3,000 bytes: less than the weights, more than an event line.
    done = process("compress", *inputs, preexec_fn=_small_files)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: cannot write ")
    assert "File too large" in line
    assert set(os.listdir()) == before  # noqa: PTH208


def _small_files() -> None:
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
