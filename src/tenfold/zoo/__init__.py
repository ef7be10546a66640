"""Networks by name, and checkpoints into them."""

from __future__ import annotations

from tenfold.zoo.build import architectures, build
from tenfold.zoo.weights import load_weights

__all__ = ["architectures", "build", "load_weights"]
