"""Runs of the command line, kept by name: what the benchmarks of fine-tuning and of its parts share."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
RUNS = Path(__file__).parent / "runs"
TIMES = {"latency", "spread_ms", "seconds", "phases"}
MACHINE = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}


def parser(about: str, actions: tuple[str, ...] = ("run", "table")) -> argparse.ArgumentParser:
    """What all scripts are asked alike: to measure, some cells and some seeds, or to print a table."""
    made = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("action", choices=actions)
    made.add_argument("--only", default="", help="run cells whose name contains this")
    made.add_argument("--seeds", type=int, default=1, help="run seeds 0 to this less 1")
    made.add_argument(
        "--busy", action="store_true", help="keep no times, which mean nothing beside other programs"
    )
    return made


def load(name: str) -> dict[str, dict]:
    """Everything that is kept under a name."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def store(name: str, key: str, found: dict, *, busy: bool = False) -> dict:
    """Keep what was found; without times if the machine is `busy`."""
    RESULTS.mkdir(exist_ok=True)
    found = {**found, **dict.fromkeys(TIMES & found.keys())} if busy else found
    file = RESULTS / f"{name}.json"
    file.write_text(json.dumps({**load(name), key: found}, indent=1) + "\n")
    return found


def kept(name: str, key: str, *command: str, busy: bool = False) -> dict:
    """What the report of a command says, unless it is kept."""
    found = load(name).get(key)
    if found is None:
        print(key, flush=True)
        found = store(name, key, carried_out(folder(name, key), *command), busy=busy)
        print(found, flush=True)
    return found


def folder(name: str, key: str) -> Path:
    """Where a run is."""
    return RUNS / re.sub(r"[^a-z0-9.]+", "-", f"{name} {key}")


def part(name: str, key: str, file: str) -> Path:
    """A file of a run that others begin with, kept beside the results: it outlives the run directory."""
    run = folder(name, key)
    found = RESULTS / name / run.name / file
    if not found.exists():
        content = (run / file).read_bytes()
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(content)
    return found


def compress(
    out: Path, network: str, budgets: list[str], seed: int, *options: str, weights: Path | None = None
) -> dict:
    """What the report of one run says."""
    return carried_out(out, *compressing(network, budgets, seed, *options, weights=weights))


def compressing(
    network: str, budgets: list[str], seed: int, *options: str, weights: Path | None = None
) -> list[str]:
    """The command for a network on CIFAR-10, with the public checkpoint if there are no other `weights`."""
    weights = weights or data() / f"cifar10-{network}.safetensors"
    command = ["compress", "--arch", network, "--data", str(data() / "cifar10.zip")]
    command += ["--weights", str(weights), "--seed", str(seed)]
    return [*command, *(part for budget in budgets for part in ("--budget", budget)), *options]


def data() -> Path:
    """The folder of cifar10.zip and of the checkpoints: TENFOLD_DATA."""
    return Path(os.environ["TENFOLD_DATA"]).absolute()


def carried_out(out: Path, *command: str) -> dict:
    """What the report of a command says."""
    go(out, *command)
    return figures(json.loads((out / "report.json").read_text()))


def go(out: Path, *command: str) -> None:
    """A command of tenfold in a process of its own; a run that was stopped before is gone on with."""
    words = ["resume", str(out)] if (out / "job.toml").exists() else [*command, "--out", str(out)]
    subprocess.run([sys.executable, "-m", "tenfold", *words], check=True, cwd=Path(__file__).parent)


def spread(values, form: str = ".2f") -> str:
    """Mean, and the ends where there are several."""
    values = list(values)
    ends = f" ({min(values):{form}} to {max(values):{form}})" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{ends}"


def middle(values, form: str = ".0f") -> str:
    """Median of those that are known."""
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):{form}}" if known else "-"


def minutes(rows: list[dict]) -> str:
    """Median time of whole runs."""
    return middle(None if row["seconds"] is None else row["seconds"] / 60 for row in rows)


def figures(report: dict) -> dict:
    """What the tables need of a report."""
    before, after, last = report["before"], report["after"], report["after_last"]
    judged = [row for row in report["history"] if "held_out_loss" in row]
    return {
        "original": before["accuracy"],
        "accuracy": after["accuracy"],
        "last": last["accuracy"] if last else after["accuracy"],
        "params": after["params"],
        "ratio": before["params"] / after["params"],
        "macs": after["macs"],
        "macs_left": after["macs"] / before["macs"],
        "size_bytes": after["size_bytes"],
        "latency": before["latency_ms"] / after["latency_ms"],
        "judged": [[row["phase"], row["held_out_accuracy"], row["held_out_loss"]] for row in judged],
        "epochs": report["settings"]["epochs"],
        "phases": report["seconds"],
        "seconds": round(sum(report["seconds"].values())),
        **MACHINE,
    }
