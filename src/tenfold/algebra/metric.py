r"""What an error in a kernel costs the network: a Kronecker-factored quadratic form.

A change D of a kernel raises the expected squared error of the logits by about

    1/2 || D x_O B^{1/2} x_I A^{1/2} x_K S^{1/2} ||_F^2

with A the second moment of the layer's inputs, B that of the logits' gradients at its outputs and S the
correlation of the input between the kernel's offsets (after KFC: Grosse & Martens, ICML 2016).
Whitening turns that cost into a plain Frobenius norm, which every solver minimises already.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.algebra.linalg import spd_roots

__all__ = ["MOST_CORRELATED", "Metric", "plain_metric"]

MOST_CORRELATED = 4096
"""Channels up to which their correlations count; of more, only their powers do: A and B are then diagonal.

A first linear layer of VGG-16 has 25,088 inputs: their correlations would fill 5 GB, and no number of images
that anyone gives would determine them.
"""

# Relative to the mean eigenvalue: directions that no image excites keep a little weight, so
# that the inverse exists and the factors stay bounded.
_RIDGE = 1e-4


@dataclass(frozen=True)
class Metric:
    """Square roots of the three factors for one kernel, and their inverses.

    Attributes:
        out: (B^1/2, B^-1/2), each (out, out), float64, or their diagonals (out,).
        inp: (A^1/2, A^-1/2), each (in, in), or their diagonals (in,).
        rows: root and inverse of the vertical part of S, each (kh, kh).
        columns: root and inverse of the horizontal part of S, each (kw, kw).
        offsets: root and inverse of S itself, each (kh * kw, kh * kw).
    """

    out: tuple[Tensor, Tensor]
    inp: tuple[Tensor, Tensor]
    offsets: tuple[Tensor, Tensor]
    rows: tuple[Tensor, Tensor]
    columns: tuple[Tensor, Tensor]

    @classmethod
    def from_moments(cls, out: Tensor, inp: Tensor, offsets: Tensor, kernel: tuple[int, int]) -> Metric:
        """Build the metric of a kernel of size `kernel` from B (out, out), A (in, in) and S (k, k).

        Of A and B, diagonals do: (out,), (in,).
        """
        rows, columns = _nearest_kronecker(offsets, kernel)
        channels = (spd_roots(moment, ridge=_RIDGE) for moment in (out, inp))
        return cls(*channels, *(_spatial_roots(moment) for moment in (offsets, rows, columns)))

    def whiten(self, weight: Tensor, *, separable: bool = False) -> Tensor:
        """The kernel (out, in, kh, kw) in coordinates in which the cost is 1/2 ||.||_F^2.

        With `separable`, S is replaced by its nearest Kronecker product of a vertical and a
        horizontal part, which a chain of (kh x 1) and (1 x kw) stages can undo exactly.
        """
        (out, _), (inp, _) = self.out, self.inp
        if out.dim() == inp.dim() == 2:
            weight = torch.einsum("oihw,ob,ic->bchw", weight, out, inp)
        else:
            weight = _times(weight, out, "o")
            weight = _times(weight, inp, "i") if inp.dim() == 2 else weight.mul_(inp[:, None, None])
        if weight.shape[2:] == (1, 1):  # in place, as above: a kernel of VGG-16 takes 0.8 GB
            return weight.mul_(self.offsets[0][0, 0])
        if separable:
            return torch.einsum("oihw,ha,wb->oiab", weight, self.rows[0], self.columns[0])
        return (weight.flatten(2) @ self.offsets[0]).reshape(weight.shape)

    def cost(self, change: Tensor) -> float:
        """Predicted rise 1/2 ||whiten(change)||^2 for a kernel's change (out, in, kh, kw); at least 0."""
        return 0.5 * float(self.whiten(change).square_().sum())

    def unwhiten_stage(self, weight: Tensor, *, first: bool, last: bool, separable: bool) -> Tensor:
        """Bring one stage (out, inp, kh, kw) of a chain fitted in whitened coordinates back.

        The first stage faces the input channels and takes A^-1/2, the last B^-1/2, the spatial ones
        their part of S^-1/2.
        """
        kh, kw = weight.shape[2:]
        if last:
            weight = _times(weight, self.out[1], "o")
        if first:
            weight = _times(weight, self.inp[1], "i")
        if kh * kw > 1 and not separable:
            return (weight.flatten(2) @ self.offsets[1]).reshape(*weight.shape)
        if kh > 1:
            weight = torch.einsum("oihw,hb->oibw", weight, self.rows[1])
        if kw > 1:
            weight = torch.einsum("oihw,wb->oihb", weight, self.columns[1])
        return weight


def plain_metric(shape: tuple[int, int, int, int]) -> Metric:
    """The metric in which every error counts alike, for a kernel of `shape` (out, in, kh, kw).

    Example:
        >>> w = torch.ones(2, 3, 1, 1, dtype=torch.float64)
        >>> plain_metric((2, 3, 1, 1)).cost(w)
        3.0
    """
    n_out, n_in, kh, kw = shape

    def eye(n: int) -> tuple[Tensor, Tensor]:
        one = (torch.eye if n <= MOST_CORRELATED else torch.ones)(n, dtype=torch.float64)
        return one, one

    return Metric(out=eye(n_out), inp=eye(n_in), offsets=eye(kh * kw), rows=eye(kh), columns=eye(kw))


def _times(weight: Tensor, root: Tensor, mode: str) -> Tensor:
    """A kernel (o, i, h, w) whose channels `mode` ("o" or "i") meet a root or the diagonal of one."""
    if root.dim() == 1:
        return torch.einsum(f"oihw,{mode}->oihw", weight, root)
    if mode == "o":  # as einsum, which would copy the kernel
        return (root.T @ weight.flatten(1)).reshape(-1, *weight.shape[1:])
    return torch.einsum("oihw,ib->obhw", weight, root)


def _nearest_kronecker(offsets: Tensor, kernel: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Vertical (kh, kh) and horizontal (kw, kw) part whose Kronecker product is nearest to S (k, k).

    Van Loan & Pitsianis, 1993: the rank-one approximation of the rearranged matrix. Of the scale that the
    two could share, each has its own part: the trace of the horizontal one is kw.
    """
    kh, kw = kernel
    rearranged = offsets.reshape(kh, kw, kh, kw).permute(0, 2, 1, 3).reshape(kh * kh, kw * kw)
    left, values, right = torch.linalg.svd(rearranged, full_matrices=False)
    rows, columns = left[:, 0].reshape(kh, kh) * values[0], right[0].reshape(kw, kw)
    if values[0] == 0:
        return rows, torch.zeros_like(columns)
    scale = columns.trace() / kw
    return rows * scale, columns / scale


def _spatial_roots(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Root and inverse of a spatial factor; of a single offset exactly 1, as no stage undoes it."""
    if len(moment) == 1:
        return torch.ones_like(moment), torch.ones_like(moment)
    return spd_roots(moment, ridge=_RIDGE)
