"""Fitted chains as they are kept between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tenfold.compression.fit import Fitted
from tenfold.core.errors import RunError
from tenfold.core.plan import Choice, Plan
from tenfold.core.shapes import Stage

__all__ = ["from_state", "to_state"]


def to_state(plan: Plan, fits: Mapping[str, Fitted], digest: str) -> dict[str, Any]:
    """Everything as numbers, texts and tensors.

    Args:
        plan: names every layer.
        fits: of those that are factorised.
        digest: of the network and the images that they were made with.
    """
    rows = {
        name: {
            "scheme": fitted.choice.scheme,
            "rank": list(fitted.choice.rank),
            "stages": [asdict(stage) for stage in fitted.stages],
            "weights": list(fitted.weights),
            "error": fitted.error,
            "rise": fitted.rise,
            "outcome": fitted.outcome,
        }
        for name, fitted in fits.items()
    }
    return {"plan": plan.to_json(), "fits": rows, "digest": digest}


def from_state(state: Mapping[str, Any], digest: str) -> tuple[Plan, dict[str, Fitted]]:
    """What `to_state` kept.

    Raises:
        RunError: it was made with another network or other images.
    """
    if state["digest"] != digest:
        raise RunError(
            "the network or the images are not those that the run was begun with; put them back or begin anew"
        )
    fits = {
        name: Fitted(
            choice=Choice(row["scheme"], tuple(row["rank"])),
            stages=tuple(Stage(**{k: _frozen(v) for k, v in stage.items()}) for stage in row["stages"]),
            weights=tuple(row["weights"]),
            error=row["error"],
            rise=row["rise"],
            outcome=row["outcome"],
        )
        for name, row in state["fits"].items()
    }
    return Plan.from_json(state["plan"]), fits


def _frozen(value: Any) -> Any:
    """A tuple where a state has a list."""
    return tuple(value) if isinstance(value, list) else value
