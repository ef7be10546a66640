"""Speed, memory and quality of the solvers, on one thread, beside tensorly.

    [TENFOLD_DATA=FOLDER] python benchmarks/solvers.py run [--only cp] [--repeat 3]
    python benchmarks/solvers.py table

tucker: Tucker-2 at half the channels of the thirteen 3x3 kernels of VGG-16, of random numbers and with a
spectrum that decays as in a trained network, in single and double precision; ours and theirs in turns.
cp: one sweep at rank 756 over a kernel 512x512x3x3, in processes of their own.
resnet50: all that a budget of params=0.4 asks for on the layers of ResNet-50, random numbers, two processes.
starts: block terms from each kind of start, on the kernels of cifar10-resnet20.safetensors in FOLDER.

Seconds are those of the processor where one thread works alone, which other programs of the machine hardly
lengthen, and those of the clock for resnet50. Memory is what the operating system reports: the highest
resident set of the process, for resnet50 the highest sum over it and its children. Each part is kept in
results/solvers.json; what is there is not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil
import tensorly
import torch
from safetensors.torch import load_file
from tensorly.decomposition import parafac, partial_tucker
from torch import Tensor

import runs
import tenfold
from tenfold.algebra.block_term import block_term, deflation_start, grown_start, random_start
from tenfold.algebra.metric import Metric, plain_metric
from tenfold.compression.fit import fit_plan
from tenfold.core.shapes import ConvSpec
from tenfold.ranks.allocate import allocate
from tenfold.ranks.table import Layer, build_table, refine_table
from tenfold.schemes.btd import Btd

RESULTS = Path(__file__).parent / "results" / "solvers.json"
VGG = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256)]
VGG += [(512, 256), (512, 512), (512, 512), (512, 512), (512, 512), (512, 512)]
SPECTRA = ("random", "decaying")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
BACKENDS = ("numpy", "pytorch")
PARTS = (
    *(
        f"tucker {spectrum} {dtype} {backend}"
        for spectrum in SPECTRA
        for dtype in DTYPES
        for backend in BACKENDS
    ),
    *(f"cp {which} {dtype}" for dtype in DTYPES for which in ("tenfold", "tensorly")),
    "resnet50 plain",
    "resnet50 moments",
    "starts",
)
CP_RANK, CP_SIZE = 756, 512
STARTS = ("random", "deflation", "grown")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table", "measure"])
    parser.add_argument("--only", default="", help="run the parts whose name begins with this")
    parser.add_argument("--repeat", type=int, default=3, help="times that a part is measured")
    arguments = parser.parse_args()
    if arguments.action == "table":
        print(table(load()))
    elif arguments.action == "measure":
        torch.set_num_threads(1)
        print(json.dumps(measure(*arguments.only.split())))
    else:
        run(arguments.only, arguments.repeat)


def load() -> dict[str, list[dict[str, float]]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def run(only: str, repeat: int) -> None:
    """Measure every part `repeat` times, each time in a process of its own, ours and theirs in turns."""
    once = ("resnet50", "starts")
    wanted = [part for part in PARTS if part.startswith(only)]
    for turn in range(repeat):
        for part in wanted:
            if len(load().get(part, [])) > turn or (turn and part.startswith(once)):
                continue
            print(part, flush=True)
            command = [sys.executable, __file__, "measure", "--only", part]
            threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            done = subprocess.run(
                command, env={**os.environ, **threads}, stdout=subprocess.PIPE, check=True, text=True
            )
            found = {**json.loads(done.stdout), "load": os.getloadavg()[0], **runs.MACHINE}
            RESULTS.parent.mkdir(exist_ok=True)
            kept = load()
            RESULTS.write_text(json.dumps({**kept, part: [*kept.get(part, []), found]}, indent=1) + "\n")
            print(found, flush=True)


def measure(name: str, *arguments: str) -> dict[str, float]:
    return {"tucker": tucker, "cp": cp, "resnet50": resnet50, "starts": starts}[name](*arguments)


def peak() -> float:
    """Highest resident set of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def kernel(shape: tuple[int, int], spectrum: str, seed: int) -> Tensor:
    """A kernel (out, in, 3, 3), float64; in a decaying one component n of both channels weighs 1/sqrt(n)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, dtype=torch.float64, generator=generator)

    weight = draw(*shape, 3, 3)
    if spectrum == "random":
        return weight
    for mode, size in enumerate(shape):
        turn = torch.linalg.qr(draw(size, size))[0] * torch.arange(1, size + 1).rsqrt()
        weight = torch.tensordot(turn, weight.transpose(0, mode), dims=1).transpose(0, mode)
    return weight


def tucker(spectrum: str, dtype: str, backend: str) -> dict[str, float]:
    """Seconds over all kernels of VGG-16 and what is left of them, ours and theirs."""
    tensorly.set_backend(backend)
    warnings.filterwarnings("ignore", message="Trying to compute SVD")
    seconds, left = ({"tenfold": 0.0, "tensorly": 0.0} for _ in range(2))
    whole = worst = 0.0
    for seed, shape in enumerate(VGG):
        exact = kernel(shape, spectrum, seed).to(DTYPES[dtype])
        given = exact if backend == "pytorch" else exact.numpy()
        rank = [max(1, size // 2) for size in shape]
        begin = time.process_time()
        fit = tenfold.decompose(exact, "tucker", (min(rank[0], rank[1] * 9), rank[1]))
        seconds["tenfold"] += time.process_time() - begin
        begin = time.process_time()
        (core, factors), _ = partial_tucker(given, rank=rank, modes=[0, 1])
        seconds["tensorly"] += time.process_time() - begin
        parts = [torch.as_tensor(part).double() for part in (core, *factors)]
        approximation = torch.einsum("pqhw,op,iq->oihw", *parts)
        errors = {"tenfold": fit.error, "tensorly": float((exact - approximation).norm() / exact.norm())}
        worst = max(worst, errors["tenfold"] / errors["tensorly"] - 1)
        whole += float(exact.double().square().sum())
        for who, error in errors.items():
            left[who] += error**2 * float(exact.double().square().sum())
    found = {f"{who} seconds": round(value, 3) for who, value in seconds.items()}
    return {
        **found,
        **{f"{who} error": math.sqrt(v / whole) for who, v in left.items()},
        "worst excess": worst,
    }


def cp(who: str, dtype: str) -> dict[str, float]:
    """Seconds of one sweep (from the difference of many and few) and memory, in this process alone."""
    weight = kernel((CP_SIZE, CP_SIZE), "random", 0).to(DTYPES[dtype])
    before = peak()
    if who == "tenfold":
        flat = weight.double().flatten(2)
        start = random_start((CP_SIZE, CP_SIZE, 9), (CP_RANK, 1, 1), seed=0, norm=float(flat.norm()))

        def sweep(count: int) -> object:
            return block_term(flat, start, max_sweeps=count, tol=0.0)

        few, many = 2, 12
    else:
        tensorly.set_backend("pytorch")

        def sweep(count: int) -> object:
            return parafac(weight, CP_RANK, n_iter_max=count, init="random", random_state=0)

        few, many = 1, 3
    spent = []
    for count in (few, many):
        begin = time.process_time()
        sweep(count)
        spent.append(time.process_time() - begin)
    return {"seconds": (spent[1] - spent[0]) / (many - few), "peak": peak(), "before": before}


def bottlenecks() -> Iterator[tuple[str, int, int, int, int, int]]:
    """Name, out, in, kernel, stride and input size of torchvision's ResNet-50, layer by layer."""
    yield "conv1", 64, 3, 7, 2, 224
    inp, size = 64, 56
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            yield f"{name}.conv1", width, inp, 1, 1, size
            yield f"{name}.conv2", width, width, 3, stride, size
            if block == 0:
                yield f"{name}.downsample.0", 4 * width, inp, 1, stride, size
            size //= stride
            yield f"{name}.conv3", 4 * width, width, 1, 1, size
            inp = 4 * width
    yield "fc", 1000, 2048, 1, 1, 1


def resnet50(metric: str) -> dict[str, float]:
    """Table, allocation and fits of ResNet-50 at 40 % of its parameters, with block terms."""
    with Memory() as memory:
        begin = time.perf_counter()
        layers = [_layer(number, metric, row) for number, row in enumerate(bottlenecks())]
        prepared = time.perf_counter()
        table = build_table(layers, "btd", workers=2, progress=_told)
        tabled = time.perf_counter()
        total = sum(row[0].params for row in table.values())
        for _ in range(2):
            plan = allocate(table, {"params": 0.4 * total}, {"params": 0.0})
            table = refine_table(table, layers, plan, workers=2)
        plan = allocate(table, {"params": 0.4 * total}, {"params": 0.0})
        planned = time.perf_counter()
        fits = fit_plan(layers, plan, workers=2, progress=_told)
        end = time.perf_counter()
    kept = sum(row[0].params for name, row in table.items() if plan[name] is None)
    shipped = kept + sum(sum(w.numel() for w in fit.weights) for fit in fits.values())
    return {
        "seconds": end - begin,
        "prepare": prepared - begin,
        "table": tabled - prepared,
        "refine": planned - tabled,
        "fit": end - planned,
        "processor seconds": sum(os.times()[:4]),
        "peak": memory.highest / 1e9,
        "params": total,
        "shipped": shipped,
        "layers": len(layers),
        "factorised": len(fits),
    }


def _layer(number: int, metric: str, row: tuple[str, int, int, int, int, int]) -> Layer:
    """One layer of random numbers, as at the start of training; its metric plain or of random moments."""
    name, n_out, n_in, size, stride, image = row
    spec = ConvSpec(n_out, n_in, (size, size), (stride, stride), (size // 2, size // 2), linear=name == "fc")
    generator = torch.Generator().manual_seed(number)
    weight = torch.randn(spec.shape, dtype=torch.float64, generator=generator) * (2 / (n_in * size**2)) ** 0.5

    def moment(count: int) -> Tensor:
        draw = torch.randn(count, count, dtype=torch.float64, generator=generator)
        draw *= torch.arange(1, count + 1).rsqrt()
        return draw @ draw.T

    if metric == "plain":
        return Layer(name, spec, ((image, image),), weight, (plain_metric(spec.shape),))
    found = Metric.from_moments(moment(n_out), moment(n_in), moment(size**2), (size, size))
    return Layer(name, spec, ((image, image),), weight, (found,))


def _told(done: int, total: int) -> None:
    sys.stderr.write(f"\r{done} / {total} ")


class Memory:
    """The highest sum of the resident sets of this process and its children; shared pages count in each."""

    def __enter__(self) -> Memory:
        self.highest, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.highest = max(self.highest, _resident())


def _resident() -> int:
    """Bytes of this process and of all that it started."""
    found = 0
    for process in (me := psutil.Process(), *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.memory_info().rss
    return found


def starts() -> dict[str, float]:
    """Mean excess over the best that any start reached in 200 sweeps, in percent, and seconds."""
    kernels = load_file(Path(os.environ["TENFOLD_DATA"]) / "cifar10-resnet20.safetensors")
    errors: dict[tuple[str, int], list[float]] = {(s, n): [] for s in STARTS for n in (25, 200)}
    seconds = dict.fromkeys(errors, 0.0)
    for layer in ("layer1.1.conv1", "layer2.0.conv1", "layer2.2.conv2", "layer3.0.conv2", "layer3.2.conv1"):
        weight = kernels[f"{layer}.weight"].double()
        flat, norm = weight.flatten(2), float(weight.norm())
        make = {
            "random": lambda rank, flat=flat, norm=norm: random_start(flat.shape, rank, seed=0, norm=norm),
            "deflation": lambda rank, flat=flat: deflation_start(flat, rank),
            "grown": lambda rank, flat=flat: grown_start(flat, rank, seed=0),
        }
        for rank in [rank for rank in Btd().ladder(weight) if rank[0] > 1][::3]:
            for (start, sweeps), found in errors.items():
                begin = time.process_time()
                found.append(block_term(flat, make[start](rank), max_sweeps=sweeps).error)
                seconds[start, sweeps] += time.process_time() - begin
    best = [min(row) for row in zip(*errors.values(), strict=True)]
    excess = {
        key: 100 * statistics.mean(e / b - 1 for e, b in zip(row, best, strict=True))
        for key, row in errors.items()
    }
    return {
        "fits": len(best),
        **{f"{start} {sweeps} excess": value for (start, sweeps), value in excess.items()},
        **{f"{start} {sweeps} seconds": value for (start, sweeps), value in seconds.items()},
    }


def table(results: dict[str, list[dict[str, float]]]) -> str:
    """The tables of docs/solvers.md."""
    return "\n\n".join(
        [_tucker_table(results), _cp_table(results), _resnet50_table(results), _starts_table(results)]
    )


def _median(rows: list[dict[str, float]], name: str) -> float:
    return statistics.median(row[name] for row in rows)


def _tucker_table(results: dict[str, list[dict[str, float]]]) -> str:
    columns = "precision | tensorly's backend | tensorly, s | tenfold, s | faster | error | tenfold's"
    lines = [f"| kernels | {columns} |", "|---|---|---|---|---|---|---|---|"]
    for part, rows in results.items():
        if part.startswith("tucker"):
            _, spectrum, dtype, backend = part.split()
            theirs, ours = _median(rows, "tensorly seconds"), _median(rows, "tenfold seconds")
            ratio = statistics.median(row["tensorly seconds"] / row["tenfold seconds"] for row in rows)
            lines.append(
                f"| {spectrum} | {dtype} | {backend} | {theirs:.1f} | {ours:.1f} | **{ratio:.1f}x** "
                f"| {_median(rows, 'tensorly error'):.5f} | {_median(rows, 'tenfold error'):.5f} |"
            )
    return "\n".join(lines)


def _cp_table(results: dict[str, list[dict[str, float]]]) -> str:
    lines = [
        "| weights | tensorly, s a sweep | GB | tenfold, s a sweep | GB | faster |",
        "|---|---|---|---|---|---|",
    ]
    for dtype in DTYPES:
        theirs, ours = (results.get(f"cp {who} {dtype}") for who in ("tensorly", "tenfold"))
        if theirs and ours:
            slow, fast = _median(theirs, "seconds"), _median(ours, "seconds")
            lines.append(
                f"| {dtype} | {slow:.1f} | {_median(theirs, 'peak'):.2f} | {fast:.2f} "
                f"| {_median(ours, 'peak'):.2f} | **{slow / fast:.0f}x** |"
            )
    return "\n".join(lines)


def _resnet50_table(results: dict[str, list[dict[str, float]]]) -> str:
    lines = [
        "| metric | table, s | refinement, s | fits, s | in all, s | peak, GB | factorised | parameters |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric in ("plain", "moments"):
        for row in results.get(f"resnet50 {metric}", []):
            lines.append(
                f"| {metric} | {row['table']:.0f} | {row['refine']:.0f} | {row['fit']:.0f} "
                f"| **{row['seconds']:.0f}** | **{row['peak']:.1f}** "
                f"| {row['factorised']} of {row['layers']} "
                f"| {row['shipped'] / row['params']:.3f} |"
            )
    return "\n".join(lines)


def _starts_table(results: dict[str, list[dict[str, float]]]) -> str:
    lines = ["| start | 25 sweeps | s | 200 sweeps | s |", "|---|---|---|---|---|"]
    for row in results.get("starts", []):
        for start in STARTS:
            cells = (
                f"{row[f'{start} {n} excess']:.1f} % | {row[f'{start} {n} seconds']:.1f}" for n in (25, 200)
            )
            lines.append(f"| {start} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
