"""search.json: what a search of ranks knows, for people and for the page."""

from __future__ import annotations

import json
from typing import Any

from tenfold.pipeline import Searched
from tenfold.search.insight import front_trials, importance, posterior_slice
from tenfold.search.tried import Tried, Verdict

__all__ = ["search_text"]

_LEAST = 8  # complete trials before the model says anything worth showing


def search_text(searched: Searched) -> str:
    """The text of search.json, as `tenfold.reporting.search` reads it."""
    tried = searched.tried
    content: dict[str, Any] = {
        "space": searched.space.kind,
        "sampler": searched.sampler,
        "trials": [_row(trial) for trial in tried],
    }
    if searched.front is not None:
        content["front"] = [_row(trial) for trial in front_trials(tried, searched.front)]
    complete = sum(trial.verdict is Verdict.COMPLETE for trial in tried)
    if complete >= _LEAST and len(searched.space.dimensions) > 1:
        content |= _learned(searched)
    return json.dumps(content, indent=1) + "\n"


def _row(trial: Tried) -> dict[str, Any]:
    """One trial."""
    return {
        "number": trial.number,
        "state": trial.verdict.value,
        "loss": trial.loss,
        "accuracy": trial.accuracy,
        "costs": dict(trial.costs),
        "best": trial.best,
        "origin": trial.origin,
        "seconds": trial.seconds,
        "error": trial.error,
        "plan": json.loads(trial.plan.to_json()) if trial.plan is not None else None,
    }


def _learned(searched: Searched) -> dict[str, Any]:
    """What the model believes, over the two dimensions whose layers matter most."""
    shares = importance(searched.space, searched.tried)
    one, other = _influential(searched, shares)
    found = posterior_slice(searched.space, searched.tried, one, other)
    return {
        "importance": shares,
        "slice": {
            "names": list(found.names),
            "a": found.a.tolist(),
            "b": found.b.tolist(),
            "mean": found.mean.tolist(),
            "deviation": found.deviation.tolist(),
        },
    }


def _influential(searched: Searched, shares: dict[str, float]) -> tuple[str, str]:
    """The two dimensions whose layers have the largest shares; a dimension "a..c" has all from a to c."""
    layers = list(shares)

    def weight(name: str) -> float:
        first, _, last = name.partition("..")
        if first not in shares:  # the share of the budget
            return 0.0
        return sum(shares[layer] for layer in layers[layers.index(first) : layers.index(last or first) + 1])

    names = sorted((d.name for d in searched.space.dimensions), key=lambda name: -weight(name))
    return names[0], names[1]
