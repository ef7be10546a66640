"""tenfold: convolutional networks several times smaller, every rank chosen by itself.

    import tenfold
    made = tenfold.compress(model, tenfold.load_data("cifar10"), budget=tenfold.Budget(params=0.2))

Names are imported when they are first used, so that ``import tenfold`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.compression.oneshot import decompose_model
    from tenfold.core.errors import TenfoldError
    from tenfold.core.plan import Budget, Choice, Plan
    from tenfold.core.report import Report
    from tenfold.data.dataset import Dataset, Preprocessing, Splits
    from tenfold.data.source import load_data
    from tenfold.layers.census import Census, census
    from tenfold.options import Options
    from tenfold.pipeline import Compressed, compress, learn
    from tenfold.runs.saved import load
    from tenfold.schemes.base import Fit
    from tenfold.schemes.decompose import decompose
    from tenfold.zoo.build import build
    from tenfold.zoo.weights import load_weights

__all__ = [
    "Budget",
    "Census",
    "Choice",
    "Compressed",
    "Dataset",
    "Fit",
    "Options",
    "Plan",
    "Preprocessing",
    "Report",
    "Splits",
    "TenfoldError",
    "build",
    "census",
    "compress",
    "decompose",
    "decompose_model",
    "learn",
    "load",
    "load_data",
    "load_weights",
]

_HOMES = {
    "Budget": "core.plan",
    "Census": "layers.census",
    "Choice": "core.plan",
    "Compressed": "pipeline",
    "Dataset": "data.dataset",
    "Fit": "schemes.base",
    "Options": "options",
    "Plan": "core.plan",
    "Preprocessing": "data.dataset",
    "Report": "core.report",
    "Splits": "data.dataset",
    "TenfoldError": "core.errors",
    "build": "zoo.build",
    "census": "layers.census",
    "compress": "pipeline",
    "decompose": "schemes.decompose",
    "decompose_model": "compression.oneshot",
    "learn": "pipeline",
    "load": "runs.saved",
    "load_data": "data.source",
    "load_weights": "zoo.weights",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tenfold' has no attribute {name!r}")
    value = getattr(import_module(f"tenfold.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
