"""What every package holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from packages import write_int8, write_run
from tenfold.core.errors import ExportError, RunError
from tenfold.packaging.contents import Contents, card_text
from tenfold.runs.directory import RunDirectory

BEFORE = {"params": 1000, "macs": 9000, "accuracy": 98.5, "size_bytes": 4000, "latency_ms": 0.25}
AFTER = {"params": 100, "macs": 900, "accuracy": 97.25, "size_bytes": 400, "latency_ms": None}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return write_run(tmp_path / "run")


def test_the_card_says_all_that_a_device_needs_and_nothing_about_this_machine(run: RunDirectory) -> None:
    contents = Contents.of(run)
    assert contents.model == run.onnx.read_bytes()
    assert contents.card == {
        "format": 1,
        "name": "small-digits",
        "version": "1.0.0",
        "network": "small",
        "classes": [f"class {n}" for n in range(10)],
        "input": [1, 8, 8],
        "mean": [0.4],
        "std": [0.4],
        "reading": {
            "colour": "grey",
            "resize": "bilinear",
            "proportions": "stretched",
            "orientation": "upright",
            "frame": "first",
        },
        "before": {**BEFORE, "bits": 32},
        "after": {**AFTER, "bits": 32},
        "images": "digits",
    }
    assert "somewhere" not in card_text(contents.card)
    assert json.loads(card_text(contents.card)) == contents.card


def test_eight_bits_are_packed_with_the_figures_of_their_own_file(run: RunDirectory) -> None:
    write_int8(run)
    contents = Contents.of(run, int8=True)
    size = run.int8_onnx.stat().st_size
    assert contents.model == run.int8_onnx.read_bytes() != run.onnx.read_bytes()
    assert contents.card["before"] == {**BEFORE, "bits": 32}
    told = {"size_bytes": size, "accuracy": 97.0, "latency_ms": 0.125, "bits": 8}
    assert contents.card["after"] == {**AFTER, **told}


def test_eight_bits_that_are_missing_or_of_another_export(run: RunDirectory) -> None:
    with pytest.raises(RunError, match=r"model\.int8\.onnx: No such file .* tenfold export .*run --int8$"):
        Contents.of(run, int8=True)
    write_int8(run).int8_onnx.write_bytes(run.onnx.read_bytes())
    with pytest.raises(RunError, match=r"int8\.json: it is about a file of \d+ bytes; make both again with"):
        Contents.of(run, int8=True)
    for text in ("no", "[]", '{"files": {"int8": {"accuracy": 1}}}'):
        run.int8_report.write_text(text)
        with pytest.raises(RunError, match=r"int8\.json: it does not say what was measured"):
            Contents.of(run, int8=True)


def test_colour(tmp_path: Path) -> None:
    assert Contents.of(write_run(tmp_path / "rgb", (3, 6, 9), 4)).card["reading"]["colour"] == "rgb"


def test_names_are_the_users_and_file_names_are_plain(run: RunDirectory) -> None:
    contents = Contents.of(run, name=" Größte Fische ", version="2026-b")
    assert (contents.card["name"], contents.card["version"]) == ("Größte Fische", "2026-b")
    assert contents.file_name == "Gr-te-Fische"
    assert Contents.of(run, name="../../etc").file_name == "etc"
    assert Contents.of(run, name="日本").file_name == "network"
    for bad in ("", " ", "a\nb", "x" * 65, "\x1b[0m"):
        with pytest.raises(ExportError, match="give one line of 1 to 64 characters"):
            Contents.of(run, name=bad)
        with pytest.raises(ExportError, match="version"):
            Contents.of(run, version=bad)


def test_a_network_that_does_not_run_is_not_packed(run: RunDirectory) -> None:
    run.onnx.write_bytes(run.onnx.read_bytes()[:-2000])
    with pytest.raises(ExportError, match=r"cannot pack .*model.onnx: ONNX Runtime cannot load"):
        Contents.of(run)
    run.onnx.unlink()
    with pytest.raises(RunError, match=r"cannot pack .*: model.onnx: No such file .*: tenfold export "):
        Contents.of(run)


def test_a_network_of_another_run_is_not_packed(run: RunDirectory, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", (1, 8, 8), 4)
    run.onnx.write_bytes(other.onnx.read_bytes())
    with pytest.raises(RunError, match=r"model.json says \[\[1, 8, 8\], \[10\]\]"):
        Contents.of(run)


@pytest.mark.parametrize("text", ["", "[]", '{"metadata": {}}', '{"metadata": {"arch": "a", "classes": 3}}'])
def test_a_run_whose_description_is_broken(run: RunDirectory, text: str) -> None:
    run.model.write_text(text)
    with pytest.raises(RunError, match=r"cannot pack .*: model.json: "):
        Contents.of(run)


def test_a_run_that_is_not_finished(run: RunDirectory) -> None:
    run.report.unlink()
    with pytest.raises(RunError, match=r"report.json: No such file"):
        Contents.of(run)
