"""Every error a user of tenfold can cause.

    TenfoldError
    ├── RankError              a rank outside its bounds                     (ValueError)
    ├── ShapeError             shapes that do not fit together               (ValueError)
    ├── UnsupportedLayerError  a layer that cannot be factorised             (ValueError)
    ├── BudgetError            a budget that cannot be met or read           (ValueError)
    ├── NonFiniteError         NaN or inf where numbers are needed           (ValueError)
    ├── UnknownNameError       no scheme, architecture, ... of that name     (LookupError)
    ├── PlanError              a plan that does not fit the network
    ├── DataError              images or labels that cannot be read
    ├── WeightsError           a checkpoint that cannot be read or does not fit
    ├── RunError               a run directory that exists, is broken or cannot be written
    ├── InterruptedRunError    Ctrl-C
    ├── ExportError            a network that cannot be exported
    └── ParityError            an export that answers differently

A message has three parts: what was asked, what was met, what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = [
    "BudgetError",
    "DataError",
    "ExportError",
    "InterruptedRunError",
    "NonFiniteError",
    "ParityError",
    "PlanError",
    "RankError",
    "RunError",
    "ShapeError",
    "TenfoldError",
    "TenfoldWarning",
    "UnknownNameError",
    "UnsupportedLayerError",
    "WeightsError",
    "nearest",
]


class TenfoldError(Exception):
    """Base of all errors that tenfold raises on purpose.

    Attributes:
        resumable: directory of the run that can be gone on with, once what is wrong is put right; else None.
    """

    resumable: object | None = None


class RankError(TenfoldError, ValueError):
    """A rank is outside the bounds that the kernel sets."""


class ShapeError(TenfoldError, ValueError):
    """Tensors or layers whose shapes do not fit together."""


class UnsupportedLayerError(TenfoldError, ValueError):
    """A layer that no scheme can factorise."""


class BudgetError(TenfoldError, ValueError):
    """A budget that is malformed or below what the network can be brought to."""


class NonFiniteError(TenfoldError, ValueError):
    """NaN or inf where finite numbers are needed."""


class UnknownNameError(TenfoldError, LookupError):
    """Nothing is registered under the name that was asked for."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Say what is near `name` among the `known` names of this `kind` (such as "scheme")."""
        # The arguments are kept as they came: an exception is rebuilt from them on its way out of a worker.
        super().__init__(kind, name, tuple(sorted(known)))

    def __str__(self) -> str:
        """The message."""
        kind, name, known = self.args
        return f"no {kind} {name!r}; {nearest(name, known)}"


class PlanError(TenfoldError):
    """A plan that does not fit the network it is applied to."""


class DataError(TenfoldError):
    """Images or labels that cannot be read."""


class WeightsError(TenfoldError):
    """A checkpoint that cannot be read or does not fit the architecture."""


class RunError(TenfoldError):
    """A run directory that exists already, is incomplete or cannot be written."""


class InterruptedRunError(TenfoldError):
    """The user stopped a job."""


class ExportError(TenfoldError):
    """A network that cannot be exported."""


class ParityError(TenfoldError):
    """An exported network that answers differently from the one it was made of."""


class TenfoldWarning(UserWarning):
    """Something the user should know although the work went on."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the three most similar of the `known` names; where none is similar, list them (at most twelve).

    Example:
        >>> nearest("tuker", ["btd", "cp", "tucker"])
        'the nearest is tucker'
        >>> nearest("x", ["btd", "cp"])
        'known are btd, cp'
        >>> nearest("x", [])
        'none is known'
    """
    known = list(known)
    if not known:
        return "none is known"
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    if not near:
        more = f", ... ({len(known)} in all)" if len(known) > 12 else ""
        return "known are " + ", ".join(known[:12]) + more
    return ("the nearest is " if len(near) == 1 else "the nearest are ") + ", ".join(near)
