"""The whole way: a trained network and images in, a compressed network, its plan and its report out."""

from tenfold.pipeline.learning import learn
from tenfold.pipeline.material import material_of
from tenfold.pipeline.planning import Planned, plan_for
from tenfold.pipeline.searching import Searched
from tenfold.pipeline.session import Session
from tenfold.pipeline.whole import Compressed, compress, search_plan

__all__ = [
    "Compressed",
    "Planned",
    "Searched",
    "Session",
    "compress",
    "learn",
    "material_of",
    "plan_for",
    "search_plan",
]
