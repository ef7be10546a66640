"""Where the values of a network lie in the one stretch of memory that it works in."""

from __future__ import annotations

from dataclasses import dataclass

from tenfold.packaging.native_layout import Layout, whole
from tenfold.packaging.native_steps import Convolve, Network, Shape, Step

__all__ = ["Place", "places"]

_CACHE_LINE = 16  # floats


@dataclass(frozen=True)
class Place:
    """Where a value lies: floats from the start of the memory to its first pixel, and from row to row."""

    layout: Layout
    origin: int
    row: int


def places(network: Network, layouts: dict[str, Layout]) -> tuple[dict[str, Place], int]:
    """Put each value somewhere in one stretch of memory, which is zero at first.

    A value gets margins of zeros as wide as the pads of the convolutions that read it. Values share room
    with those of the same form alone, so that the margins, which nothing writes, stay zero.

    Returns:
        The places, and the floats needed in all.
    """
    users, last = network.users(), _last_uses(network)
    forms = {name: _form(name, shape, layouts[name], users[name]) for name, shape in network.shapes.items()}
    free: dict[tuple[int, ...], list[int]] = {}
    starts: dict[str, int] = {}
    end = 0
    for number, name in enumerate([network.image, *(step.output for step in network.steps)]):
        form = forms[name]
        if free.get(form.key):
            starts[name] = free[form.key].pop()
        else:
            starts[name], end = end, end + whole(form.floats, _CACHE_LINE)
        for over in (value for value, use in last.items() if use == number):
            free.setdefault(forms[over].key, []).append(starts[over])
    return {
        name: Place(layouts[name], starts[name] + form.before, form.row) for name, form in forms.items()
    }, end


@dataclass(frozen=True)
class _Form:
    """Floats in all, before the first pixel, and from row to row; values of equal `key` can share room."""

    floats: int
    before: int
    row: int
    key: tuple[int, ...]


def _form(name: str, shape: Shape, layout: Layout, users: list[Step]) -> _Form:
    """The room that a value takes with its margins."""
    windows = [user.window for user in users if isinstance(user, Convolve) and user.inputs[0] == name]
    margins = tuple(max((window.pads[side] for window in windows), default=0) for side in range(4))
    top, left, bottom, right = margins
    _, height, width = shape
    row = (left + width + right) * layout.pixel
    floats = (top + height + bottom) * row
    key = (height, width, layout.pixel, *margins) if any(margins) else (floats,)
    return _Form(floats, top * row + left * layout.pixel, row, key)


def _last_uses(network: Network) -> dict[str, int]:
    """The number of the step, from 1, after which each value is no longer needed."""
    last = {network.image: 0} | {step.output: n for n, step in enumerate(network.steps, start=1)}
    for number, step in enumerate(network.steps, start=1):
        last |= dict.fromkeys(step.inputs, number)
    last[network.answer] = len(network.steps) + 1
    return last
