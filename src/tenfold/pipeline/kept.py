"""Fitted chains as they are kept between processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenfold.compression.fit import Fitted
from tenfold.compression.stored import fits_from_rows, fits_to_rows
from tenfold.core.errors import RunError
from tenfold.core.plan import Plan

__all__ = ["check_digest", "from_state", "to_state"]


def to_state(plan: Plan, fits: Mapping[str, Fitted], digest: str) -> dict[str, Any]:
    """Everything as numbers, texts and tensors.

    Args:
        plan: names every layer.
        fits: of those that are factorised.
        digest: of the network and the images that they were made with.
    """
    return {"plan": plan.to_json(), "fits": fits_to_rows(fits), "digest": digest}


def from_state(state: Mapping[str, Any], digest: str) -> tuple[Plan, dict[str, Fitted]]:
    """What `to_state` kept.

    Raises:
        RunError: it was made with another network or other images.
    """
    check_digest(state, digest)
    return Plan.from_json(state["plan"]), fits_from_rows(state["fits"])


def check_digest(state: Mapping[str, Any], digest: str) -> None:
    """Refuse a state that was made with another network or other images.

    Raises:
        RunError: it was.
    """
    if state["digest"] != digest:
        raise RunError(
            "the network or the images are not those that the run was begun with; put them back or begin anew"
        )
