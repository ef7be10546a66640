"""The comparison: its tables are those of what was measured, and say where tenfold is behind."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "docs" / "measured"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def script(monkeypatch):
    """Import one of benchmarks/ by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def rows(script):
    return script("comparison_rows")


@pytest.fixture
def tables(script):
    return script("comparison_tables")


def a_row(rows, accuracy: float, **changed: object):
    whole = rows.Row(accuracy, 90.0, 1000, 4.0, 2_000_000, 5000, 1.5, 60.0, "x86_64, 2 cores")
    return replace(whole, **changed)


def test_tables_of_readme_and_site_are_those_that_the_script_prints(rows, tables, monkeypatch, tmp_path):
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text())
    (tmp_path / "measured").mkdir()
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "MEASURED", tmp_path / "measured")
    tables.write(rows.measured())
    assert (tmp_path / "README.md").read_text() == (ROOT / "README.md").read_text()
    written = sorted((tmp_path / "measured").iterdir())
    assert {path.stem for path in written} == set(tables.tables(rows.measured()))
    for made in written:
        assert made.read_text() == (MEASURED / made.name).read_text()


def test_every_table_has_a_place_on_a_page_and_three_in_the_readme(rows, tables):
    pages = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    for name in tables.tables(rows.measured()):
        assert f'--8<-- "docs/measured/{name}.md"' in pages
    readme = (ROOT / "README.md").read_text()
    for name in ("one-shot", "behind", "fine-tuned"):
        assert readme.count(f"<!-- {name} of benchmarks/compare.py -->\n\n") == 1
        assert tables.tables(rows.measured())[name] in readme


@pytest.mark.parametrize(
    ("name", "page", "tables_of_it"),
    [("solvers", "solvers", 4), ("imagenet", "networks", 1), ("native", "native-package", 1)],
)
def test_pages_of_other_scripts_hold_what_these_print(script, name, page, tables_of_it):
    printed = script(name).table(script("runs").load(name)).split("\n\n")
    assert len(printed) == tables_of_it
    text = (ROOT / "docs" / f"{page}.md").read_text()
    assert [table for table in printed if table not in text] == []


def test_what_other_scripts_keep_is_not_measured_again(script, rows):
    compare = script("compare")
    known = rows.measured()
    for ratio in (2.0, 3.0, 5.0, 8.0):
        for way in (rows.PEER, rows.PEER_RECOVERED, rows.DEFAULT):
            assert len(known[rows.Cell("resnet20", ratio, way, 0)]) >= 1
    assert known[rows.Cell("resnet20", 3.0, f"{rows.BAYES}, 3 cycles", 30)][0].size_bytes == 373_375
    assert not set(compare.missing()) & {cell.planned for cell in known}
    answered = {*compare.missing(), *(cell.planned for cell in known)}
    assert answered >= {cell for cell in rows.PLANNED if cell.way != rows.PEER_RECOVERED}


def test_a_cell_that_is_known_is_not_run_and_another_is_kept(script, rows, monkeypatch, tmp_path):
    compare, runs = script("compare"), script("runs")
    ran = []

    def carried_out(out, *words):
        ran.append(words)
        return {"accuracy": 88.0, "params": 9, "ratio": 5.0, "latency": 1.2, "seconds": 3, **runs.MACHINE}

    monkeypatch.setattr(runs, "RESULTS", tmp_path)
    monkeypatch.setattr(runs, "carried_out", carried_out)
    monkeypatch.setenv("TENFOLD_DATA", str(tmp_path))
    cell = rows.Cell("resnet20", 5.0, "tt", 30)
    for _ in range(2):
        compare.run(cell, 0, busy=True)
    ((command, *words),) = ran
    assert command == "compress"
    assert " ".join(words[words.index("--method") :]) == (
        "--method btd-bayes --selector allocation --scheme tt --epochs 30"
    )
    assert rows.measured()[cell][0].accuracy == 88.0
    assert rows.measured()[cell][0].faster is None  # the machine was busy
    kept = json.loads((tmp_path / "compare.json").read_text())
    assert list(kept) == ["resnet20 5x tt, 30 epochs, seed 0"]


def test_a_row_is_timed_in_any_run_of_its_ranks_or_in_one_that_is_made(script, rows, monkeypatch, tmp_path):
    compare, runs, pairs = script("compare"), script("runs"), script("pairs")
    kept = {
        "compare": {
            "resnet20 5x tt, 3 epochs, seed 0": {"macs": 7},
            "resnet20 5x svd, 3 epochs, seed 0": {"macs": 8},  # made again, it has other ranks
            "resnet20 5x cp, 3 epochs, seed 0": {"macs": 7},
            "resnet20 5x cp, 0 epochs, seed 0": {"macs": 7},  # has the ranks of the last one
            f"resnet20 5x {rows.BAYES}, 3 epochs, seed 0": {"macs": 7},
            "resnet20 5x btd, 3 epochs, seed 0": {"macs": 7, "latency": 1.5},
        },
        "speed": {"peers cp": {"original": {}}},
    }
    ran, stored = [], {}
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(runs, "load", lambda name: kept.get(name, {}))
    monkeypatch.setattr(runs, "store", lambda _, key, found: stored.setdefault(key, found))
    monkeypatch.setattr(runs, "go", lambda out, *words: ran.append((out.name, *words[-6:])))
    monkeypatch.setattr(pairs, "export_run", lambda out, place: {"macs": 7, "from": out, "to": place})
    monkeypatch.setattr(pairs, "timed", lambda place: {"latency": 1.0, "spread_ms": place.name})
    monkeypatch.setenv("TENFOLD_DATA", str(tmp_path))
    there = tmp_path / "compare-resnet20-5x-cp-3-epochs-seed-0"
    there.mkdir()
    (there / "report.json").write_text('{"after": {"macs": 7}}')
    compare.time_all()
    assert {key: found["spread_ms"] for key, found in stored.items()} == {
        "resnet20 5x tt, 3 epochs, seed 0": "pairs-resnet20-5x-tt-0-epochs",
        "resnet20 5x cp, 3 epochs, seed 0": f"pairs-{there.name}",
        "resnet20 5x cp, 0 epochs, seed 0": f"pairs-{there.name}",
    }
    options = ["--scheme", "tt", "--epochs", "0", "--recovery-steps", "0"]
    assert ran[0] == ("ranks-resnet20-5x-tt-0-epochs", *options)
    assert len(ran) == 2


def test_two_networks_are_exported_and_timed_in_turns(script, tmp_path):
    torch.manual_seed(0)
    before, after = (
        nn.Sequential(nn.Conv2d(1, width, 3), nn.Flatten(), nn.Linear(36 * width, 2)) for width in (64, 1)
    )
    pairs = script("pairs")
    assert pairs.export(before, after, (1, 8, 8), tmp_path)["macs"] == 36 * 9 + 36 * 2
    found = pairs.timed(tmp_path)
    assert found["latency"] == found["spread_ms"]["original"][1] / found["spread_ms"]["compressed"][1]
    assert all(sorted(times) == times for times in found["spread_ms"].values())


def test_the_best_of_a_row_is_bold_and_what_is_behind_is_said(rows, tables):
    cell = rows.Cell("resnet20", 5.0, rows.DEFAULT, 0)
    known = {
        replace(cell, way=rows.PEER): [a_row(rows, 70.0, macs=1_000_000)],
        replace(cell, way="cp"): [a_row(rows, 89.0), a_row(rows, 89.5)],
        cell: [a_row(rows, 88.0, faster=0.5), a_row(rows, 89.0, faster=0.7)],
    }
    line = tables.accuracies(known).splitlines()[2]
    assert line == (
        "| ResNet-20 (90.00 %) | 5x fewer | 70.00 | **89.25 (89.00 to 89.50)** | 88.50 (88.00 to 89.00) "
        "| 2,000,000 | 0.60 | 1 to 2 |"
    )
    less, more, even, slow = tables.behind(known).splitlines()
    assert even.endswith("in no cell that is measured.")
    assert less.endswith("88.50 % against 89.25 % of tenfold, cp (ResNet-20 at 5x, one shot).")
    assert more.endswith("CP of as many parameters: 2.00 times, in 1 of 1 cells.")
    assert slow.endswith("0.60x (ResNet-20 at 5x, one shot).")
    ahead = {cell: [a_row(rows, 90.0)], replace(cell, way="cp"): [a_row(rows, 89.0)]}
    assert tables.behind(ahead).count("in no cell that is measured") == 4


def test_at_equal_macs_the_peer_is_interpolated_between_its_cells(rows, tables):
    cell = rows.Cell("resnet20", 5.0, rows.DEFAULT, 0)
    peer = replace(cell, way=rows.PEER_RECOVERED)
    known = {
        cell: [a_row(rows, 86.0, macs=2_500_000)],
        peer: [a_row(rows, 86.0, macs=2_000_000)],
        replace(peer, ratio=3.0): [a_row(rows, 88.0, macs=3_000_000)],
    }
    assert tables.at_equal_macs(known) == ["86.0 against 87.0 % (ResNet-20 at 5x, one shot)"]
    assert tables.at_equal_macs({**known, cell: [a_row(rows, 87.5, macs=2_500_000)]}) == []
    assert tables.at_equal_macs({**known, cell: [a_row(rows, 86.0, macs=1_000_000)]}) == []


def test_pictures_hold_a_mark_for_every_cell_and_stand_alone(script, rows, monkeypatch, tmp_path):
    plots = script("comparison_plots")
    monkeypatch.setattr(plots, "IMAGES", tmp_path)
    plots.write(rows.measured())
    for made in tmp_path.iterdir():
        assert made.read_text() == (ROOT / "docs" / "images" / made.name).read_text()
        assert "var(--ink)" in made.read_text()
        assert "--ink: #1b1f24" in made.read_text()
        assert ElementTree.fromstring(made.read_text()).tag == f"{SVG}svg"
    drawn = ElementTree.fromstring((tmp_path / "front.svg").read_text())
    words = {text.text for text in drawn.iter(f"{SVG}text")}
    assert {"ResNet-20, CIFAR-10, no labels", "ResNet-56, CIFAR-10, no labels", "tenfold", "before"} <= words
    drawn_of = ("resnet20", "resnet56")
    shown = [c for c in rows.measured() if not c.epochs and c.way in plots.WAYS[:3] and c.network in drawn_of]
    series = {"var(--series-1)", "var(--series-2)", "var(--series-3)"}
    marks = [use for use in drawn.iter(f"{SVG}use") if any(s in use.get("style", "") for s in series)]
    assert len(marks) == len(shown) + 3  # and one each in the legend


@pytest.mark.parametrize(("network", "epochs"), [("vgg", 10), ("resnet20", 30)])
def test_what_other_ways_begin_with_outlives_the_run_directories(
    network, epochs, script, monkeypatch, tmp_path
):
    runs, learning = script("runs"), script("learning")
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setenv("TENFOLD_DATA", str(tmp_path))
    begun = {key: row for key, row in runs.load("learning").items() if " dense" in key or " lc, " in key}
    monkeypatch.setattr(runs, "load", lambda _: begun)
    monkeypatch.setattr(runs, "store", lambda *_, **__: None)
    asked = []
    monkeypatch.setattr(runs, "carried_out", lambda _, *words: asked.append(words))
    for way, option in (("same chains from scratch", "--plan"), ("tucker alone", "--weights")):
        learning.Cell(network, epochs, 0, []).run(way)
        begins_with = Path(asked[-1][asked[-1].index(option) + 1])
        assert begins_with.exists()
        assert begins_with.is_relative_to(runs.RESULTS)


@pytest.fixture
def asked(script, monkeypatch, tmp_path):
    """A network, a way and epochs in all -> words of the command that is run last, but for a warm-up."""
    learning = script("learning")
    monkeypatch.setenv("TENFOLD_DATA", str(tmp_path))
    monkeypatch.setattr(learning.Cell, "trained", lambda *_, **__: tmp_path)
    monkeypatch.setattr(learning.runs, "part", lambda *_: tmp_path)
    monkeypatch.setattr(learning.runs, "RUNS", tmp_path)
    monkeypatch.setattr(learning.runs, "kept", lambda _, __, *words, **___: words)
    return lambda network, way, epochs=30: learning.Cell(network, epochs, 0, []).run(way)


@pytest.mark.parametrize("way", ["lc", "dense, then method A"])
def test_a_network_whose_rate_never_fell_is_no_teacher(way, asked):
    words = asked("resnet20", way)
    assert [value for option, value in pairwise(words) if option == "--distillation"] == ["0"]


@pytest.mark.parametrize(
    ("way", "at_sixty"),
    [
        ("dense", "0.1"),
        ("same chains from scratch", "0.1"),
        ("dense, then method A", "0.01"),
        ("lc", "0.01"),
        ("tt alone", "0.01"),
    ],
)
def test_residual_networks_decay_alike_and_less_when_taught(way, at_sixty, asked):
    for epochs, decay in ((30, "0.1"), (60, at_sixty)):
        words = asked("resnet32", way, epochs)
        assert [value for option, value in pairwise(words) if option == "--weight-decay"] == [decay]


def test_the_epochs_of_learning_compression_are_those_of_the_dense_network(asked):
    words = dict(pairwise(asked("resnet20", "lc", 60)))
    constrained = int(words["--steps"]) * float(words["--step-epochs"])
    assert 30 + constrained + int(words["--epochs"]) == 60
    assert words["--distillation"] == "0.9"
