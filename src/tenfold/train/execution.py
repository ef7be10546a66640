"""How a network is trained: which chains as one rebuilt kernel, and in which precision."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator
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

__all__ = ["Execution", "answers_in_bfloat16", "choose_execution", "executed"]

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
    key = _key(model, batch, form, precision)
    return _remembered(cache, key, lambda: _timed(model, batch, form, precision))


def answers_in_bfloat16(
    teacher: nn.Module, batch: Tensor, *, precision: PrecisionName = "timed", cache: Path | None = None
) -> bool:
    """Whether a network that only answers, and does not train, does so under autocast to bfloat16.

    A choice of its own: with AVX-512 BF16 but no AMX the forward pass of a ResNet-32 takes 0.58 of the time
    of float32, while training gains nothing. Its answers differ by 0.0045 (relative), which is 3e-5 nats of
    divergence where the network of a third of the parameters that it teaches is 0.11 away.

    Args:
        teacher: in the mode in which it answers; left as it was.
        batch: (n, channels, height, width), float32.
        precision: as for `choose_execution`.
        cache: likewise.
    """
    if precision != "timed":
        return precision == "bfloat16"

    def timed() -> Execution:
        return Execution(bfloat16=_bfloat16_is_faster(teacher, batch[:_TIMED_IMAGES], _seconds_to_answer))

    return _remembered(cache, _key(teacher, batch, "answers", precision), timed).bfloat16


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
            cast = _bfloat16_is_faster(model, batch, _seconds_to_train)
    else:
        cast = precision == "bfloat16"
    if form != "timed":
        return Execution(tuple(chains(model)) if form == "rebuilt" else (), cast)
    return Execution(tuple(faster_rebuilt(model, batch, bfloat16=cast)), cast)


def _remembered(cache: Path | None, key: str, timed: Callable[[], Execution]) -> Execution:
    """What was timed before under this key; else it is timed now."""
    file = cache / f"timed-{key}.json" if cache else None
    found = _read(file) if file else None
    if found is None:
        found = timed()
        if file:
            _keep(file, found)
    return found


def _key(model: nn.Module, batch: Tensor, what: str, precision: PrecisionName) -> str:
    """Hash of all that times depend on; `what` is the form of its chains, or "answers"."""
    layers = [(name, repr(module)) for name, module in model.named_modules() if not any(module.children())]
    machine = (platform.node(), torch.__version__, torch.get_num_threads(), str(batch.device))
    return sha256(repr((layers, tuple(batch.shape), what, precision, machine)).encode()).hexdigest()


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


def _bfloat16_is_faster(
    model: nn.Module, batch: Tensor, seconds: Callable[[nn.Module, Tensor, bool], float]
) -> bool:
    """Time two passes in each precision, after one that warms up."""
    if not _has_bfloat16(batch.device):
        return False
    # Inference mode of batch norms: timing must not touch the running statistics.
    with in_mode(model, training=False):
        plain, quick = (min([seconds(model, batch, cast) for _ in range(3)][1:]) for cast in (False, True))
    return quick < _CLEARLY * plain


def _seconds_to_train(model: nn.Module, batch: Tensor, cast: bool) -> float:
    """Forward and backward, which leave no gradient.

    On a processor with AVX-512 BF16 but no AMX the forward pass of a ResNet-20 of block terms takes 0.65 of
    the time of float32, both together 1.1.
    """
    with _trainable(model):
        wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
        begin = perf_counter()
        with torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=cast):
            answers = torch.cat([answer.flatten().float() for answer in tensors(model(batch))])
        torch.autograd.grad(answers.sum(), wanted, allow_unused=True)
        return perf_counter() - begin


def _seconds_to_answer(model: nn.Module, batch: Tensor, cast: bool) -> float:
    """Forward alone; on a copy, for it may change its input in place."""
    given = batch.clone()
    begin = perf_counter()
    with torch.no_grad(), torch.autocast(batch.device.type, dtype=torch.bfloat16, enabled=cast):
        sum(float(answer.float().sum()) for answer in tensors(model(given)))
    return perf_counter() - begin


def _has_bfloat16(device: torch.device) -> bool:
    """Whether it has instructions for bfloat16; any device but a processor is taken to.

    A processor that has none takes tens of times longer than in float32, minutes for one pass of a VGG-16 at
    224x224.
    """
    if device.type != "cpu":
        return True
    return any(found for name, found in torch.cpu.get_capabilities().items() if "bf16" in name)
