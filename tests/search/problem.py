"""A small made-up network: layers of a few ranks, a loss that the predicted rises get half right."""

from __future__ import annotations

import numpy as np

from tenfold.core.plan import Choice, Plan
from tenfold.ranks.table import Candidate
from tenfold.search.base import Space
from tenfold.search.space import make_space

RANKS = 8
FIXED = {"params": 20.0, "macs": 100.0, "size_bytes": 80.0}


def candidate(rank: int, unit: int, rise: float) -> Candidate:
    """Of `RANKS` ranks, the last of which keeps the layer."""
    choice = None if rank == RANKS else Choice("svd", (rank,))
    return Candidate(choice, rise, unit * rank, (30 - unit) * rank, 4 * unit * rank)


def table(layers: int = 5) -> dict[str, tuple[Candidate, ...]]:
    """Of units of parameters and of MACs that differ from layer to layer."""
    return {
        f"stage{k // 2}.conv{k}": tuple(
            candidate(rank, 3 + 2 * k, (1 + k % 3) * (1 - rank / RANKS) ** 2) for rank in range(RANKS, 0, -1)
        )
        for k in range(layers)
    }


def whole(layers: int = 5) -> dict[str, float]:
    """What the network ships when every layer is kept."""
    return {
        name: rest + sum(getattr(row[0], name) for row in table(layers).values())
        for name, rest in FIXED.items()
    }


def space(kind: str = "corrections", *, share: float = 0.5, layers: int = 5, front: bool = False) -> Space:
    """With a limit on the parameters."""
    return make_space(kind, table(layers), {"params": share * whole(layers)["params"]}, FIXED, front=front)


def loss(plan: Plan) -> float:
    """Odd layers matter four times as much as their rises say, and neighbours hurt each other."""
    kept = np.array([choice.rank[0] if choice else RANKS for choice in plan.values()]) / RANKS
    part = (1 - kept) ** 2 * np.where(np.arange(len(kept)) % 2, 4.0, 1.0)
    return float(0.2 + part.sum() + 0.3 * np.sqrt(part[:-1] * part[1:]).sum())
