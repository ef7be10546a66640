"""The pictures of the site, from the code they explain and from the run that `tenfold demo` makes.

    python scripts/docs_images.py RUN     # RUN is the directory of that run; writes docs/images/*.svg

The same run gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import safetensors.torch
import torch
from docs_measurements import SCHEMES
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from tenfold.algebra.metric import plain_metric
from tenfold.core.shapes import ConvSpec, Stage, macs, params
from tenfold.ranks.evbmf import _entry, evbmf_of, singular_values
from tenfold.ranks.hull import lower_hull
from tenfold.ranks.table import Candidate, Layer, build_table
from tenfold.schemes.registry import SCHEMES as REGISTERED
from tenfold.schemes.registry import get_scheme
from tenfold.search.acquisition import log_expected_improvement
from tenfold.search.gp import fit_process
from tenfold.train.constrained import stretch_rates
from tenfold.train.supervised import Training

IMAGES = Path(__file__).parents[1] / "docs" / "images"
INK, SOFT, BLUE, ORANGE, GREEN = "#263238", "#90a4ae", "#1f77b4", "#e6550d", "#2a8a57"
COLOURS = ("#1f77b4", "#e6550d", "#2a8a57", "#8e44ad", "#b8860b", "#607d8b")
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tenfold",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "grid.color": "#eceff1",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
}
# One layer of 64 channels, 3x3, at about a fifth of its parameters: what the pictures of chains show.
LAYER = ConvSpec(64, 64, (3, 3), padding=(1, 1))
RANKS = {
    "svd": (11,),
    "svd-mirrored": (11,),
    "tucker": (21, 21),
    "cp": (53,),
    "btd": (12, 3, 3),
    "tt": (24, 32, 24),
    "tt-tucker": (24, 32, 24),
}


def main() -> None:
    """Draw everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="directory of a demo run")
    kernel = trained_kernel(parser.parse_args().run)
    for name in RANKS:
        draw(f"scheme-{name}", (7.2, 2.5), lambda figure, name=name: scheme(figure, name))
    draw("chain", (7.2, 2.5), chain)
    draw("architecture", (7.6, 3.4), architecture)
    draw("errors", (7.2, 3.8), lambda figure: errors(figure, kernel))
    draw("evbmf", (7.2, 3.2), lambda figure: evbmf(figure, kernel))
    draw("energy", (7.2, 3.2), lambda figure: energy(figure, kernel))
    draw("allocation", (7.2, 3.8), lambda figure: allocation(figure, kernel))
    draw("bayesian-optimisation", (7.2, 4.2), bayes)
    draw("learning-compression", (7.2, 3.2), learning)
    draw("metric", (7.2, 2.7), metric)


def trained_kernel(run: Path) -> Tensor:
    """The kernel of the third convolution of the demo's network, (64, 64, 3, 3), float64."""
    return safetensors.torch.load_file(run / "original.safetensors")["features.7.weight"].double()


def draw(name: str, size: tuple[float, float], paint: Callable[[Figure], None]) -> None:
    """One picture."""
    with mpl.rc_context(STYLE):
        figure = Figure(size, layout="constrained")
        paint(figure)
        IMAGES.mkdir(exist_ok=True)
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None, "Creator": None})


def boxes(axes: Axes, stages: Sequence[Stage], spec: ConvSpec, top: float) -> None:
    """A chain from left to right: a bar a width of channels, an arrow a stage."""
    widths = [stages[0].inp, *(stage.out for stage in stages)]
    places = np.linspace(0.06, 0.94, len(widths))
    for place, width in zip(places, widths, strict=True):
        height = 0.1 + 0.5 * width / max(spec.inp, spec.out, *widths)
        axes.add_patch(Rectangle((place - 0.018, top - height / 2), 0.036, height, color=BLUE, alpha=0.75))
        axes.text(place, top - height / 2 - 0.03, str(width), ha="center", va="top")
    for left, right, stage in zip(places, places[1:], stages, strict=False):
        axes.add_patch(
            FancyArrowPatch(
                (left + 0.03, top), (right - 0.03, top), arrowstyle="-|>", mutation_scale=12, color=INK
            )
        )
        kh, kw = stage.kernel
        axes.text((left + right) / 2, top + 0.04, f"{kh} x {kw}", ha="center", va="bottom", weight="bold")
        if stage.groups > 1:
            axes.text(
                (left + right) / 2, top - 0.04, f"{stage.groups} groups", ha="center", va="top", color=ORANGE
            )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")


def scheme(figure: Figure, name: str) -> None:
    """The chain of one scheme, and what it ships."""
    rank = RANKS[name]
    stages = REGISTERED[name].layout(LAYER, rank)
    axes = figure.subplots()
    boxes(axes, stages, LAYER, 0.5)
    whole, made = params((Stage(64, 64, (3, 3)),), bias=False), params(stages, bias=False)
    work = macs(LAYER, stages, (32, 32)) / macs(LAYER, (Stage(64, 64, (3, 3)),), (32, 32))
    said = ", ".join(f"{n} = {r}" for n, r in zip(REGISTERED[name].rank_names, rank, strict=True))
    axes.set_title(
        f"{name}: {said}; {made:,} of {whole:,} parameters ({made / whole:.2f}), {work:.2f} of the MACs",
        size=10,
    )


def chain(figure: Figure) -> None:
    """The layer and its Tucker chain, one above the other."""
    above, below = figure.subplots(2, height_ratios=(1, 1))
    stages = REGISTERED["tucker"].layout(LAYER, RANKS["tucker"])
    whole = (Stage(64, 64, (3, 3)),)
    for axes, made, title in ((above, whole, "a layer"), (below, stages, "the chain that replaces it")):
        boxes(axes, made, LAYER, 0.5)
        axes.set_title(f"{title}: {params(made, bias=False):,} parameters", size=10, loc="left")


_STEPS = (
    ("trained\nnetwork", "your layers"),
    ("census", "what can be\nfactorised"),
    ("moments", "2,000 images,\nno labels"),
    ("table", "rise and cost of\nevery candidate"),
    ("plan", "one candidate\na layer"),
    ("fit", "weights of\nthe chains"),
    ("recovery,\ntraining", "match the\noriginal"),
    ("report,\nONNX, packages", "measured"),
)


def architecture(figure: Figure) -> None:
    """The life of a job, in two rows."""
    axes = figure.subplots()
    for number, (what, how) in enumerate(_STEPS):
        row, column = divmod(number, 4)
        x, y = 0.13 + 0.245 * column, 0.78 - 0.52 * row
        axes.add_patch(Rectangle((x - 0.095, y - 0.11), 0.19, 0.22, facecolor="#e3f2fd", edgecolor=BLUE))
        axes.text(x, y, what, ha="center", va="center", weight="bold")
        axes.text(x, y - 0.13, how, ha="center", va="top", color=INK, size=9)
        if column < 3:
            _arrow(axes, (x + 0.097, y), (x + 0.148, y))
    axes.plot([0.96, 0.99, 0.99, 0.01, 0.01], [0.78, 0.78, 0.48, 0.48, 0.26], color=INK, lw=1)
    _arrow(axes, (0.01, 0.26), (0.034, 0.26))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color=INK, shrinkA=0, shrinkB=0)
    )


def errors(figure: Figure, kernel: Tensor) -> None:
    """Relative error of every scheme against the parameters of its chain, on one trained kernel."""
    axes = figure.subplots()
    spec = ConvSpec(64, 64, (3, 3))
    for colour, name in zip(COLOURS, SCHEMES, strict=True):
        made = get_scheme(name)
        ranks = made.ladder(kernel)
        found = made.errors(kernel, ranks, sweeps=25)
        points = sorted(
            (params(made.layout(spec, rank), bias=False) / kernel.numel(), found[rank]) for rank in ranks
        )
        best = np.minimum.accumulate([1.0, *(error for _, error in points)])
        useful = [point for point, before in zip(points, best, strict=False) if point[1] < before]
        style = {
            "color": colour,
            "label": name,
            "lw": 1.6,
            "ls": "--" if name in ("btd", "tt-tucker") else "-",
        }
        axes.plot(*zip(*useful, strict=True), **style)
    axes.set(
        xlabel="parameters of the chain / of the layer",
        ylabel="relative error, Frobenius",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend()


def evbmf(figure: Figure, kernel: Tensor) -> None:
    """Singular values, and what EVBMF keeps of them: a planted rank, and a trained kernel."""
    draw_ = torch.Generator().manual_seed(0)
    signal = torch.randn(64, 8, generator=draw_) @ torch.randn(8, 576, generator=draw_)
    planted = signal.double() + torch.randn(64, 576, generator=draw_).double()
    for axes, matrix, title in zip(
        figure.subplots(1, 2),
        (planted, kernel.flatten(1)),
        ("rank 8 planted in noise", "a trained kernel, (out | in * k)"),
        strict=True,
    ):
        values, found = singular_values(matrix), evbmf_of(matrix)
        kept = np.arange(1, len(values) + 1) <= found.rank
        places = np.arange(1, len(values) + 1)
        axes.scatter(places[~kept], np.array(values)[~kept], s=10, color=SOFT, label="noise")
        axes.scatter(places[kept], np.array(values)[kept], s=14, color=BLUE, label=f"kept: {found.rank}")
        axes.scatter(places[: found.rank], found.values, s=14, marker="_", color=ORANGE, label="shrunk")
        shorter, longer = sorted(matrix.shape)
        threshold = np.sqrt(longer * found.noise_variance * _entry(shorter / longer))
        axes.axhline(threshold, color=GREEN, lw=1, ls="--", label="threshold")
        axes.set(title=title, xlabel="component", ylabel="singular value", yscale="log")
        axes.title.set_size(10)
        axes.legend(fontsize=8)


def energy(figure: Figure, kernel: Tensor) -> None:
    """Energy beyond each rank, and one threshold for both unfoldings."""
    axes = figure.subplots()
    threshold = 0.1
    for colour, (title, matrix) in zip(
        COLOURS,
        {"output channels": kernel.flatten(1), "input channels": kernel.transpose(0, 1).flatten(1)}.items(),
        strict=False,
    ):
        squares = np.square(singular_values(matrix))
        tail = 1 - np.concatenate([[0], squares.cumsum() / squares.sum()])
        rank = int((tail > threshold).sum())
        axes.plot(np.arange(len(tail)), tail, color=colour, label=f"{title}: rank {rank}")
        axes.plot([rank, rank], [0, tail[rank]], color=colour, ls=":")
    axes.axhline(threshold, color=INK, lw=1, ls="--", label="threshold 0.1")
    axes.set(xlabel="rank", ylabel="share of the energy that is lost", xlim=(0, 64), ylim=(0, 1))
    axes.legend()


def allocation(figure: Figure, kernel: Tensor) -> None:
    """The candidates of one layer, their lower convex hull, and one price."""
    layer = Layer("layer", LAYER, ((4, 4),), kernel, (plain_metric(LAYER.shape),))
    row = build_table([layer], "auto")["layer"]
    hull = [row[k] for k in lower_hull([c.params for c in row], [c.rise for c in row])]
    axes = figure.subplots()
    for colour, name in zip(COLOURS, ("svd", "svd-mirrored", "btd", "tt"), strict=False):
        mine = [c for c in row if c.choice and c.choice.scheme == name]
        axes.scatter(
            [c.params for c in mine], [c.rise for c in mine], s=12, color=colour, alpha=0.6, label=name
        )
    axes.plot([c.params for c in hull], [c.rise for c in hull], color=INK, lw=1.2, label="lower convex hull")
    price = 8e-4
    picked: Candidate = min(hull, key=lambda c: c.rise + price * c.params)
    axes.axline(
        (picked.params, picked.rise), slope=-price, color=GREEN, ls="--", lw=1, label="one price a parameter"
    )
    axes.scatter([picked.params], [picked.rise], s=60, facecolor="none", edgecolor=GREEN, lw=2)
    top = max(c.rise for c in hull)
    axes.set(xlabel="parameters", ylabel="predicted rise", xlim=(0, 40000), ylim=(-0.02 * top, 1.05 * top))
    axes.legend()


def bayes(figure: Figure) -> None:
    """A process given six values of a made-up loss, and the improvement it expects."""
    places = np.array([0.02, 0.2, 0.42, 0.6, 0.82, 0.97])[:, None]
    none = np.zeros((len(places), 0))
    loss = 1 + 0.4 * np.sin(7 * places[:, 0]) + 0.5 * (places[:, 0] - 0.4) ** 2
    process = fit_process(places, none, loss)
    grid = np.linspace(0, 1, 300)[:, None]
    mean, spread = process.predict(grid, np.zeros((300, 0)))
    above, below = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    above.fill_between(
        grid[:, 0], mean - 2 * spread, mean + 2 * spread, color=BLUE, alpha=0.15, label="± 2 deviations"
    )
    above.plot(grid[:, 0], mean, color=BLUE, label="mean of the process")
    above.scatter(places[:, 0], loss, color=INK, zorder=3, label="plans that were tried")
    above.set(ylabel="loss")
    above.legend(fontsize=8)
    gain = log_expected_improvement(mean, spread, float(process.predict(places, none)[0].min()))
    below.plot(grid[:, 0], gain, color=ORANGE)
    below.axvline(grid[int(gain.argmax()), 0], color=ORANGE, ls="--", lw=1)
    below.set(
        xlabel="a correction",
        ylabel="log expected\nimprovement",
        ylim=(max(gain.min(), gain.max() - 12), None),
    )


def learning(figure: Figure) -> None:
    """How the constraint tightens on a quadratic, and the rates of its L steps."""
    left, right = figure.subplots(1, 2)
    target, centre = np.array([1.0, 0.3]), np.zeros(2)
    for multipliers, colour, title in (
        (True, BLUE, "augmented Lagrangian"),
        (False, ORANGE, "quadratic penalty"),
    ):
        lam, mu, apart = np.zeros(2), 0.1, []
        fit = np.array([target[0], 0.0])
        for _ in range(10):
            weights = (target + mu * fit + lam) / (1 + mu)
            fit = np.array([(weights - lam / mu)[0], 0.0])
            lam = lam - mu * (weights - fit) if multipliers else centre
            apart.append(np.linalg.norm(weights - fit) / np.linalg.norm(weights))
            mu *= 3
        left.plot(range(1, 11), apart, marker="o", ms=4, color=colour, label=title)
    left.set(xlabel="step", ylabel="feasibility", yscale="log", title="a quadratic loss, mu tripled")
    left.title.set_size(10)
    left.legend(fontsize=8)
    parts = stretch_rates(Training(rate=0.1, schedule="exp-cyclic"), warm_up=300, stretch=100, stretches=4)
    right.plot([rate for part in parts for rate in part], color=BLUE)
    right.set(xlabel="step of training", ylabel="learning rate", title="warm-up, four L steps by exp-cyclic")
    right.title.set_size(10)


def metric(figure: Figure) -> None:
    """Held-out accuracy at once by metric, from benchmarks/results/ablations.json."""
    known = json.loads((Path(__file__).parents[1] / "benchmarks/results/ablations.json").read_text())
    axes = figure.subplots()
    names, ratios = ("logits", "plain", "activations"), (2, 3, 5)
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        found = [known[f"metric {ratio}x {name} seed 0"]["judged"][0][1] for ratio in ratios]
        bars = axes.bar(np.arange(3) + 0.27 * (number - 1), found, 0.25, color=colour, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize=8)
    axes.set(
        xticks=range(3), xticklabels=[f"{r}x fewer parameters" for r in ratios], ylabel="held-out accuracy, %"
    )
    axes.set_ylim(50, 108)
    axes.legend(ncols=3, loc="upper right", fontsize=8)


if __name__ == "__main__":
    main()
