"""How fast samplers find the front of loss against parameters of a made-up network of twenty layers.

    python benchmarks/synthetic_search.py run [--samplers tenfold,tpe] [--seeds 3] [--trials 60]
    python benchmarks/synthetic_search.py table

A layer keeps a share r of its 24 ranks and ships c r parameters. The loss is

    0.08 + 0.92 (1 - exp(-T)),     T = sum_l t_l + sum_l k_l sqrt(t_l t_(l+1)),     t_l = a_l (1 - r_l)^(p_l)

with 1 % noise; a, p, c and k differ from layer to layer. Two tables of predicted rises are searched. One is
like those of real networks: right up to a factor of exp(N(0, 0.5)) a layer and to 10 % of p. The second knows
nothing of the layers: (1 - r)^2.5 for each. Measured is the hypervolume of the noise-free loss and the share
of the parameters below (1, 1); "best known" is that of a genetic search of about 30,000 plans. Results are
kept in results/synthetic_search.json; what is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import optuna

from tenfold.core.plan import Choice, Plan
from tenfold.ranks.table import Candidate
from tenfold.search.acquisition import front_of, hypervolume
from tenfold.search.quiet import quiet
from tenfold.search.sampler import PLAN, distributions, make_sampler, sampler_names
from tenfold.search.space import Ranks, make_space

RESULTS = Path(__file__).parent / "results" / "synthetic_search.json"
LAYERS, RANKS = 20, 24
AFTER = (20, 40, 60)
TABLES = ("predicted", "blind")


class Problem:
    """The network that is made up, one a seed."""

    def __init__(self, seed: int, table: str) -> None:
        """Make the network of a seed, and a table of a kind."""
        rng = np.random.default_rng(seed)
        self.weight = np.exp(rng.normal(size=LAYERS))
        self.weight *= 2.5 / self.weight.sum()
        self.power = rng.uniform(1.5, 4.0, LAYERS)
        self.pair = np.clip(rng.normal(scale=0.3, size=LAYERS - 1), -0.4, 1.0)
        unit = rng.integers(20, 400, LAYERS)
        guess = self.weight * np.exp(0.5 * rng.normal(size=LAYERS))
        bend = self.power * rng.uniform(0.9, 1.1, LAYERS)
        if table == "blind":
            guess, bend = np.full(LAYERS, 2.5 / LAYERS), np.full(LAYERS, 2.5)
        self.table = {
            f"layer{k}": tuple(
                self._candidate(rank, float(guess[k]), float(bend[k]), int(unit[k]))
                for rank in range(RANKS, 0, -1)
            )
            for k in range(LAYERS)
        }
        self.whole = float(unit.sum() * RANKS)

    def _candidate(self, rank: int, weight: float, power: float, unit: int) -> Candidate:
        choice = None if rank == RANKS else Choice("svd", (rank,))
        return Candidate(
            choice, weight * (1 - rank / RANKS) ** power, unit * rank, unit * rank, 4 * unit * rank
        )

    def loss(self, plan: Plan) -> float:
        """Without noise."""
        kept = np.array([choice.rank[0] if choice else RANKS for choice in plan.values()]) / RANKS
        part = self.weight * (1 - kept) ** self.power
        total = part.sum() + (self.pair * np.sqrt(part[:-1] * part[1:])).sum()
        return float(0.08 + 0.92 * (1 - np.exp(-max(total, 0.0))))

    def noisy(self, plan: Plan, seed: int) -> float:
        """With 1 % noise, the same each time a plan is tried."""
        shares = [choice.rank[0] if choice else RANKS for choice in plan.values()]
        return self.loss(plan) * (1 + 0.01 * np.random.default_rng([seed, *shares]).normal())


def run(sampler: str, table: str, kind: str, seed: int, trials: int) -> dict[str, object]:
    """One study in memory; hypervolumes after some trials, and what a suggestion costs."""
    problem = Problem(seed, table)
    space = make_space(kind, problem.table, {"params": problem.whole}, {"params": 0.0}, front=True)
    with quiet():
        study = optuna.create_study(
            directions=["minimize", "minimize"],
            sampler=make_sampler(sampler, space, seed=seed, front="params"),
        )
    seconds, points = [], []
    for _ in range(trials):
        begin = time.process_time()
        with quiet():
            trial = study.ask(distributions(space))
        seconds.append(time.process_time() - begin)
        plan = space.decode(np.array([trial.params[d.name] for d in space.dimensions], dtype=float))
        cost = space.costs(plan)["params"]
        trial.set_user_attr(PLAN, plan.to_json())
        points.append((problem.loss(plan), cost / problem.whole))
        with quiet():
            study.tell(trial, [problem.noisy(plan, seed), cost])
    return {
        "volumes": {str(n): hypervolume(np.array(points[:n]), (1.0, 1.0)) for n in AFTER if n <= trials},
        "seconds": statistics.mean(seconds[trials // 2 :]),
    }


def best_known(table: str, seed: int) -> float:
    """Hypervolume of a long genetic search on the noise-free loss."""
    problem = Problem(seed, table)
    space = Ranks(problem.table, {"params": problem.whole}, {"params": 0.0}, front=True)
    rng = np.random.default_rng(seed)
    points = space.sample(200, rng)
    for _ in range(100):
        parents = points[rng.integers(len(points), size=(2, 200))]
        crossed = np.where(rng.random(parents[0].shape) < 0.5, *parents)
        points = np.unique(
            np.concatenate([points, space.vary(crossed, rng), space.vary(parents[0], rng)]), axis=0
        )
        plans = [space.decode(point) for point in points]
        found = np.array([(problem.loss(p), space.costs(p)["params"] / problem.whole) for p in plans])
        points = points[front_of(found)]
    plans = [space.decode(point) for point in points]
    found = np.array([(problem.loss(p), space.costs(p)["params"] / problem.whole) for p in plans])
    return hypervolume(found, (1.0, 1.0))


def load() -> dict[str, dict[str, object]]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def keep(key: str, work, *arguments) -> None:
    """Run `work` unless its result is kept already."""
    if key in load():
        return
    found = work(*arguments)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({**load(), key: found}, indent=1) + "\n")
    print(key, found, flush=True)


def table() -> str:
    """Means over the seeds, and the smallest and largest after the last trial."""
    results = load()
    lines = [
        "| table | space | sampler | seeds | after 20 | after 40 | after 60 | range | CPU s a suggestion |",
        "|" + "---|" * 9,
    ]
    groups: dict[tuple[str, ...], list] = {}
    for key, found in results.items():
        name, _, _ = key.rpartition(" seed ")
        groups.setdefault(tuple(name.split()), []).append(found)
    for (rises, *rest), found in sorted(
        groups.items(), key=lambda item: (item[0][0] != "predicted", item[0][1:])
    ):
        if rest == ["best"]:
            ends = f"{min(found):.3f} to {max(found):.3f}"
            lines.append(
                f"| {rises} | | best known | {len(found)} | | | {statistics.mean(found):.3f} | {ends} | |"
            )
            continue
        means = [statistics.mean(one["volumes"][str(n)] for one in found) for n in AFTER]
        last = [one["volumes"][str(AFTER[-1])] for one in found]
        seconds = statistics.mean(one["seconds"] for one in found)
        cells = [rises, *rest, str(len(found)), *(f"{mean:.3f}" for mean in means)]
        lines.append(f"| {' | '.join(cells)} | {min(last):.3f} to {max(last):.3f} | {seconds:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["run", "table"])
    parser.add_argument("--samplers", default=",".join(sampler_names()))
    parser.add_argument("--spaces", default="ranks,corrections")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    arguments = parser.parse_args()
    if arguments.action == "table":
        print(table())
        return
    for seed in range(arguments.seeds):
        for rises in TABLES:
            keep(f"{rises} best seed {seed}", best_known, rises, seed)
            for kind in arguments.spaces.split(","):
                for sampler in arguments.samplers.split(","):
                    key = f"{rises} {kind} {sampler} seed {seed}"
                    keep(key, run, sampler, rises, kind, seed, arguments.trials)


if __name__ == "__main__":
    main()
