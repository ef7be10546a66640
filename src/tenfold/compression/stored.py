"""Fitted chains as numbers, texts and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tenfold.compression.fit import Fitted
from tenfold.core.plan import Choice
from tenfold.core.shapes import Stage

__all__ = ["fits_from_rows", "fits_to_rows"]


def fits_to_rows(fits: Mapping[str, Fitted]) -> dict[str, dict[str, Any]]:
    """One row a layer."""
    return {
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


def fits_from_rows(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Fitted]:
    """What `fits_to_rows` made rows of."""
    return {
        name: Fitted(
            choice=Choice(row["scheme"], tuple(row["rank"])),
            stages=tuple(Stage(**{k: _frozen(v) for k, v in stage.items()}) for stage in row["stages"]),
            weights=tuple(row["weights"]),
            error=row["error"],
            rise=row["rise"],
            outcome=row["outcome"],
        )
        for name, row in rows.items()
    }


def _frozen(value: Any) -> Any:
    """A tuple where a row has a list."""
    return tuple(value) if isinstance(value, list) else value
