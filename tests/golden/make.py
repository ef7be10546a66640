"""Make the golden files: errors of a few seeded fits, and stage layouts.

Run `python tests/golden/make.py` after a change that is meant to move them, and say so in the CHANGELOG.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tenfold.core.shapes import ConvSpec, params
from tenfold.schemes.registry import SCHEMES

__all__ = ["FOLDER", "fits", "layouts", "smooth_kernel"]

FOLDER = Path(__file__).parent

_RANKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "svd": ((2,), (5,)),
    "svd-mirrored": ((2,), (5,)),
    "tucker": ((3, 2), (12, 5), (6, 10)),
    "cp": ((1,), (6,), (20,)),
    "btd": ((1, 3, 2), (4, 2, 2), (3, 3, 2)),
    "tt": ((2, 3, 2), (4, 6, 5), (10, 8, 12)),
    "tt-tucker": ((2, 3, 2), (4, 6, 5), (10, 8, 12)),
}


def smooth_kernel() -> Tensor:
    """A kernel (12, 10, 3, 3) from a formula: decaying spectrum, no generator."""
    o, i, h, w = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float64) for n in (12, 10, 3, 3)), indexing="ij"
    )
    return torch.cos(0.7 * o * (h + 1) - 1.3 * i * (w + 1)) + torch.sin(0.05 * o * i * (1 + h * w)) / (1 + o)


def fits() -> list[dict[str, Any]]:
    """Error of each scheme at a few ranks, seed 0."""
    kernel = smooth_kernel()
    return [
        {"scheme": name, "rank": list(rank), "error": scheme.fit(kernel, rank).error}
        for name, scheme in SCHEMES.items()
        for rank in _RANKS.get(name, ())
    ]


def layouts() -> list[dict[str, Any]]:
    """Stages (out, inp, kh, kw, groups) and parameters of the same fits on a 12 <- 10 layer of 3x5."""
    spec = ConvSpec(12, 10, (3, 5))
    rows = []
    for name, scheme in SCHEMES.items():
        for rank in _RANKS.get(name, ()):
            stages = scheme.layout(spec, rank)
            rows.append(
                {
                    "scheme": name,
                    "rank": list(rank),
                    "stages": [[s.out, s.inp, *s.kernel, s.groups] for s in stages],
                    "params": params(stages, bias=True),
                }
            )
    return rows


def _write(name: str, rows: list[dict[str, Any]]) -> None:
    """Write one golden file: versions, then one row a line."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    text = f'{{\n "torch": {json.dumps(torch.__version__)},\n "rows": [\n{lines}\n ]\n}}\n'
    (FOLDER / name).write_text(text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _write("fits.json", fits())
    _write("layouts.json", layouts())
