"""How a network is trained: which chains as one rebuilt kernel, and in which precision."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn

from tenfold.compression.rebuilt import chains, convolution_chains, faster_rebuilt, rebuilt
from tenfold.core.atomic import write_text
from tenfold.core.errors import RunError
from tenfold.core.names import FormName, PrecisionName
from tenfold.layers.answers import tensors
from tenfold.layers.mode import in_mode

__all__ = ["Execution", "choose_execution", "executed"]

_TIMED_IMAGES = 32  # tell enough
_CLEARLY = 0.8  # rounding is worth it only for a clear gain


@dataclass(frozen=True)
class Execution:
    """What was chosen by timing, kept so that a run that goes on later computes the same bits.

    Attributes:
        rebuilt: chains that are computed as one layer with a rebuilt kernel.
        bfloat16: whether passes run under autocast to bfloat16.
    """

    rebuilt: tuple[str, ...] = ()
    bfloat16: bool = False


def choose_execution(
    model: nn.Module,
    batch: Tensor,
    *,
    form: FormName = "timed",
    precision: PrecisionName = "timed",
    cache: Path | None = None,
) -> Execution:
    """The fastest way to train `model` on batches like `batch`, or the one that is asked for.

    Args:
        model: the network, its chains in place; left as it was.
        batch: (n, channels, height, width), float32.
        form: "chain" or "rebuilt" for all chains, or "timed": each chain in the faster of the two.
        precision: "float32", "bfloat16", or "timed": the latter if it is clearly faster.
        cache: folder that keeps what was timed on this machine: a run that is made again, or goes on after a
            kill, computes the same bits. None for none.
    """
    if form != "timed" and precision != "timed":
        return Execution(tuple(chains(model)) if form == "rebuilt" else (), precision == "bfloat16")
    file = cache / f"timed-{_key(model, batch, form, precision)}.json" if cache else None
    found = _read(file) if file else None
    if found is None:
        found = _timed(model, batch, form, precision)
        if file:
            _keep(file, found)
    return found


@contextmanager
def executed(model: nn.Module, execution: Execution) -> Iterator[nn.Module]:
    """Hold `model` in the form that was chosen, in training mode, every parameter trainable.

    A network that was frozen for use is trained all the same; its flags come back afterwards.
    """
    with _trainable(model), rebuilt(model, execution.rebuilt), in_mode(model, training=True):
        yield model


@contextmanager
def _trainable(model: nn.Module) -> Iterator[None]:
    """Let every parameter have a gradient meanwhile."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        for parameter, _ in flags:
            parameter.requires_grad_(parameter.is_floating_point())
        yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def _timed(model: nn.Module, batch: Tensor, form: FormName, precision: PrecisionName) -> Execution:
    """Time what is not asked for: the precision first, for one form may gain more from it than the other."""
    batch = batch[:_TIMED_IMAGES]
    if precision == "timed":
        with rebuilt(model, () if form == "chain" else convolution_chains(model)):
            cast = _bfloat16_is_faster(model, batch)
    else:
        cast = precision == "bfloat16"
    if form != "timed":
        return Execution(tuple(chains(model)) if form == "rebuilt" else (), cast)
    return Execution(tuple(faster_rebuilt(model, batch, bfloat16=cast)), cast)


def _key(model: nn.Module, batch: Tensor, form: FormName, precision: PrecisionName) -> str:
    """Hash of all that times depend on."""
    layers = [(name, repr(module)) for name, module in model.named_modules() if not any(module.children())]
    machine = (platform.node(), torch.__version__, torch.get_num_threads(), str(batch.device))
    return sha256(repr((layers, tuple(batch.shape), form, precision, machine)).encode()).hexdigest()


def _read(file: Path) -> Execution | None:
    """What was timed before; None where there is nothing, or nothing readable."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Execution(tuple(map(str, content["rebuilt"])), bool(content["bfloat16"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(file: Path, execution: Execution) -> None:
    """Write it down; a folder that cannot be written to only costs time."""
    with suppress(OSError, RunError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(asdict(execution)))


def _bfloat16_is_faster(model: nn.Module, batch: Tensor) -> bool:
    """Time two passes in each precision, after one that warms up.

    Forward and backward: on a processor with AVX-512 BF16 but no AMX the forward pass of a ResNet-20 of block
    terms takes 0.65 of the time of float32, both together 1.1.
    """
    if not _has_bfloat16(batch.device):
        return False

    def seconds(cast: bool) -> float:
        begin = perf_counter()
        with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=cast):
            answers = torch.cat([answer.flatten().float() for answer in tensors(model(batch))])
        torch.autograd.grad(answers.sum(), wanted, allow_unused=True)
        return perf_counter() - begin

    # Inference mode of batch norms: timing must not touch the running statistics.
    with _trainable(model), in_mode(model, training=False):
        wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
        plain, quick = (min([seconds(cast) for _ in range(3)][1:]) for cast in (False, True))
    return quick < _CLEARLY * plain


def _has_bfloat16(device: torch.device) -> bool:
    """Whether it has instructions for bfloat16; any device but a processor is taken to.

    A processor that has none takes tens of times longer than in float32, minutes for one pass of a VGG-16 at
    224x224.
    """
    if device.type != "cpu":
        return True
    return any(found for name, found in torch.cpu.get_capabilities().items() if "bf16" in name)
