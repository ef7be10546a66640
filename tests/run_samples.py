"""A run directory with everything in it that a report can show, made up."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tenfold.core.plan import Choice
from tenfold.core.report import LayerReport, Measures, Report
from tenfold.runs.directory import RunDirectory

CYCLES, STEPS = 3, 40  # of the training; steps a cycle


def layers(blocks: int = 3) -> tuple[LayerReport, ...]:
    """A network of a first layer, two stages of `blocks` and a classifier that is kept."""
    rows = [LayerReport("conv1", Choice("btd", (4, 1, 1)), "", (400, 300), (4000, 3000), 0.1, 0.01)]
    for stage in (1, 2):
        for block in range(blocks):
            name = f"layer{stage}.{block}.conv"
            after = 100 * stage + 50 * block
            choice = Choice("tt-tucker", (16, 8 + block, 16))
            rise = 0.05 * stage + 0.2 * block
            rows.append(LayerReport(name, choice, "", (1000, after), (9000, 5 * after), 0.4, rise))
    kept = "kept: a chain would cost more than it saves here"
    return (*rows, LayerReport("linear", None, kept, (650, 650), (640, 640), 0.0, 0.0))


def history() -> tuple[dict[str, Any], ...]:
    """A recovery, and a training in cosine cycles that went back once."""
    rows: list[dict[str, Any]] = [_judged("one shot", 61.5)]
    rows += [
        {"phase": "recovery", "step": n, "loss": 90 / n + 30, "rate": 0.002 * math.sin(0.1 * n)}
        for n in range(1, 31)
    ]
    rows.append(_judged("recovered", 88.0))
    for cycle in range(CYCLES):
        for n in range(STEPS):
            step = cycle * STEPS + n + 1
            rate = 0.01 * (1 + math.cos(math.pi * n / STEPS))
            rows.append(
                {"phase": "training", "step": step, "epoch": step // 20, "loss": 1 / step, "rate": rate}
            )
        end = {"step": (cycle + 1) * STEPS, "epoch": 2 * cycle + 2, "cycle": cycle + 1, "chosen": cycle == 1}
        rows.append({**_judged("snapshot", 89.0 + (0.5, 1.25, 1.0)[cycle]), **end})
    rows.append({"phase": "rollback", "step": 55, "rate": 0.005, "cause": "the loss was NaN"})
    return tuple(rows)


def learned_history() -> tuple[dict[str, Any], ...]:
    """Learning-compression of two layers over four C steps, ten steps an epoch, that went back once."""
    rows: list[dict[str, Any]] = []
    for number in range(4):
        for n in range(1, 11):
            told = {"phase": "l step", "number": number, "step": 10 * number + n, "loss": 2 / (n + number)}
            rows.append({**told, "penalty": 0.01 * n * number, "rate": 0.1 * 0.5**number / n})
        chosen = number < 3
        ranks = {"conv1": {"inp": 5, "middle": 4 + number, "out": 7} if number else {}}
        ranks |= {"conv2": {"inp": 8 - number, "middle": 6, "out": 9}, "linear": {}}
        trials = [("allocation", 0.8), ("tenfold", 0.6 + 0.2 * number)]
        rows.append(
            {
                "phase": "c step",
                "number": number,
                "step": 10 * (number + 1),
                "epoch": float(number + 1),
                "mu": 0.01 * 3**number,
                "feasibility": 0.8 / (1 + number),
                "params": 5000 - 1000 * number,
                "macs": 90_000,
                "ranks": ranks,
                "limits": {"params": 5050.0 - 1000 * number} if chosen else {},
                "weakening": 0.5 if chosen else None,
                "trials": [{"origin": x, "loss": loss} for x, loss in trials] if chosen else [],
                "dense_accuracy": 90.0 + number,
                "dense_loss": 0.3,
                "compressed_accuracy": 80.0 + number,
                "compressed_loss": 0.9 - 0.1 * number,
            }
        )
    back = {"phase": "l step rollback", "number": 2, "step": 25, "rate": 0.01, "cause": "the loss is nan"}
    return (*rows, back, {"phase": "epochs", "total": 7.0})


def report(**changes: Any) -> Report:
    """What such a run reports."""
    values: dict[str, Any] = {
        "before": Measures(10_000, 200_000, 91.5, 44_000, 0.5),
        "after": Measures(2_500, 80_000, 90.0, 12_000, 0.4),
        "layers": layers(),
        "settings": {"arch": "small", "scheme": "btd", "budget": {"params": 0.25}, "seed": 0, "out": "/a"},
        "seconds": {"plan": 30.0, "recover": 90.0},
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "history": history(),
    }
    return Report(**{**values, **changes})


def search(trials: int = 30) -> dict[str, Any]:
    """What a search of ranks leaves behind."""
    rows: list[dict[str, Any]] = []
    best = None
    for n in range(trials):
        state = "failed" if n % 10 == 7 else "pruned" if n % 5 == 3 else "complete"
        loss = None if state == "failed" else 0.3 + 0.4 / (n + 1) + 0.05 * (n % 4)
        if state == "complete":
            best = loss if best is None else min(best, loss or best)
        costs = {} if loss is None else {"params": 2000 + 90 * n, "macs": 60_000 + 3000 * (n % 7)}
        accuracy = None if loss is None else 95 - 20 * loss
        rows.append({"number": n, "state": state, "loss": loss, "accuracy": accuracy, "costs": costs})
        rows[-1] |= {"best": best, "x": [0.1 * n, -0.1 * n]}
    found = sorted((row for row in rows if row["state"] == "complete"), key=lambda row: row["loss"])[:4]
    a, b = [-2 + 0.4 * n for n in range(11)], [-2 + n for n in range(5)]
    return {
        "space": "corrections",
        "sampler": "tenfold",
        "trials": rows,
        "importance": {"layer1": 0.6, "layer2": 0.3, "conv1": 0.1},
        "front": [{key: row[key] for key in ("loss", "accuracy", "costs")} for row in found],
        "slice": {
            "names": ["layer1", "layer2"],
            "a": a,
            "b": b,
            "mean": [[math.sin(x) + 0.3 * y * y for y in b] for x in a],
            "deviation": [[0.1 + 0.05 * abs(x + y) for y in b] for x in a],
        },
    }


def write_run(path: Path, made: Report | None = None, *, searched: bool = True) -> RunDirectory:
    """A finished run on the disk."""
    run = RunDirectory.create(path)
    run.write_report(made or report())
    if searched:
        (path / "search.json").write_text(json.dumps(search()))
    return run


def _judged(phase: str, accuracy: float) -> dict[str, Any]:
    """What held-out images say."""
    return {"phase": phase, "held_out_accuracy": accuracy, "held_out_loss": (100 - accuracy) / 40}
