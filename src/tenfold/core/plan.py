"""What the user asks for (a budget) and what is decided (a plan)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from tenfold.core.errors import BudgetError, PlanError
from tenfold.core.shapes import Rank

__all__ = ["SHORT_NAMES", "Budget", "Choice", "Plan"]

SHORT_NAMES = {"latency": "latency_ms"}
"""What else a budget may be called where people write it."""


@dataclass(frozen=True)
class Budget:
    """Upper bounds on what ships, as fractions (at most 1) of the original network or as absolute numbers.

    A value in (0, 1] is a fraction of the original; a value above 1 is an absolute number. A field
    that is None does not bind. Several fields bind together.

    Attributes:
        params: numbers in all tensors that ship.
        macs: multiply-adds at batch 1, convolutions and linear layers.
        size_bytes: bytes of the tensors that ship.
        latency_ms: milliseconds of one image, measured on this machine; the command line also calls it
            latency. What takes less than a millisecond is given as a fraction.

    Raises:
        BudgetError: no field is set, or one is not a finite number above 0.

    Example:
        >>> Budget.parse(["params=0.2", "macs=0.5"])
        Budget(params=0.2, macs=0.5, size_bytes=None, latency_ms=None)
        >>> Budget(params=0.2).limits({"params": 1000, "macs": 5000, "size_bytes": 4000})
        {'params': 200.0}
    """

    params: float | None = None
    macs: float | None = None
    size_bytes: float | None = None
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no network can meet."""
        given = {name: value for name, value in self.as_dict().items() if value is not None}
        if not given:
            raise BudgetError(f"a budget needs at least one of {', '.join(self.as_dict())}, as in params=0.2")
        for name, value in given.items():
            if not (value > 0 and isfinite(value)):
                raise BudgetError(
                    f"budget {name}={value:g}: must be above 0 (a fraction up to 1, or a number)"
                )

    @classmethod
    def parse(cls, texts: list[str]) -> Budget:
        """Read budgets as they stand on the command line: ``["params=0.2", "macs=0.5"]``.

        Raises:
            BudgetError: a text is not name=number, or names a field that does not exist or is set already.
        """
        names = [field.name for field in fields(cls)]
        values: dict[str, float] = {}
        for text in texts:
            name, _, number = (part.strip() for part in text.partition("="))
            name = SHORT_NAMES.get(name, name)
            if name not in names:
                raise BudgetError(f"budget {text!r}: {name!r} is none of {', '.join(names)}")
            if name in values:
                raise BudgetError(f"budget {text!r}: {name} was set to {values[name]:g} before; give it once")
            try:
                values[name] = float(number)
            except ValueError:
                raise BudgetError(
                    f"budget {text!r}: {number!r} is no number; write it as {name}=0.2"
                ) from None
        return cls(**values)

    def as_dict(self) -> dict[str, float | None]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def limits(self, original: Mapping[str, float]) -> dict[str, float]:
        """Absolute bounds, given what the `original` network has of each field.

        Raises:
            BudgetError: a field that binds is not known of the original.
        """
        given = {name: value for name, value in self.as_dict().items() if value is not None}
        for name in given:
            if name not in original:
                raise BudgetError(
                    f"a budget on {name} cannot be kept here: only {', '.join(original)} are known"
                )
        return {name: value * original[name] if value <= 1 else value for name, value in given.items()}


@dataclass(frozen=True)
class Choice:
    """How one layer is factorised.

    Example:
        >>> Choice("btd", (16, 3, 3))
        Choice(scheme='btd', rank=(16, 3, 3))
    """

    scheme: str
    rank: Rank


class Plan(Mapping[str, Choice | None]):
    """What becomes of each layer: a `Choice`, or None to keep it as it is.

    Immutable; `with_layer` gives an edited copy. The JSON form is what `plan.json` holds and what a
    user may edit:

        {"layer1.0.conv1": {"scheme": "btd", "rank": [16, 3, 3]}, "linear": null}

    Example:
        >>> plan = Plan({"conv": Choice("svd", (4,)), "fc": None})
        >>> Plan.from_json(plan.to_json()) == plan
        True
    """

    def __init__(self, choices: Mapping[str, Choice | None]) -> None:
        """Take `choices` by qualified layer name."""
        self._choices = dict(choices)

    def __getitem__(self, name: str) -> Choice | None:
        """The choice for layer `name`."""
        return self._choices[name]

    def __iter__(self) -> Iterator[str]:
        """Layer names in network order."""
        return iter(self._choices)

    def __len__(self) -> int:
        """Number of layers named."""
        return len(self._choices)

    def __repr__(self) -> str:
        """The mapping, readable."""
        return f"Plan({dict(self._choices)!r})"

    @property
    def factorised(self) -> dict[str, Choice]:
        """Only the layers that are replaced."""
        return {name: choice for name, choice in self.items() if choice is not None}

    def with_layer(self, name: str, choice: Choice | None) -> Plan:
        """A copy in which `name` has another choice."""
        return Plan({**self._choices, name: choice})

    def to_json(self) -> str:
        """The text of plan.json: one layer a line."""
        rows = (f"  {json.dumps(name)}: {_choice_json(choice)}" for name, choice in self.items())
        return "{\n" + ",\n".join(rows) + "\n}\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote and perhaps a person edited.

        Raises:
            PlanError: the text is no JSON object of choices, or names a layer twice.
        """
        try:
            rows = json.loads(text, object_pairs_hook=_unique)
        except json.JSONDecodeError as error:
            raise PlanError(f"the plan is no JSON: {error.msg} at line {error.lineno}") from None
        if not isinstance(rows, dict):
            raise PlanError(f"a plan maps layer names to choices; this is a {type(rows).__name__}")
        return cls({name: _read_choice(name, row) for name, row in rows.items()})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; json itself would let the last of two equal keys win in silence."""
    rows = dict(pairs)
    if len(rows) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PlanError(f"the plan names {twice!r} twice: delete one of the two")
    return rows


def _choice_json(choice: Choice | None) -> str:
    """One value of plan.json."""
    return "null" if choice is None else json.dumps({"scheme": choice.scheme, "rank": list(choice.rank)})


def _read_choice(name: str, row: object) -> Choice | None:
    """One value of plan.json, checked."""
    if row is None:
        return None
    match row:
        case {"scheme": str(scheme), "rank": [*rank]} if all(type(r) is int for r in rank):
            return Choice(scheme, tuple(rank))
    example = '{"scheme": "btd", "rank": [16, 3, 3]}'
    raise PlanError(f"plan, layer {name!r}: expected null or {example}, met {json.dumps(row)}")
