"""Times, sizes and states as people read them."""

from __future__ import annotations

import time

from tenfold.studio.language import _

__all__ = ["PHASES", "STATES", "clock_time", "duration", "file_size"]

STATES = {
    "queued": "waits",
    "running": "runs",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "interrupted": "interrupted",
}
"""State of a job -> how it is shown."""

PHASES = {
    "load": "loading",
    "pretrain": "training the original",
    "statistics": "looking at images",
    "candidates": "trying ranks",
    "refine": "refining ranks",
    "timing": "timing layers",
    "search": "searching ranks",
    "fit": "fitting layers",
    "learn": "learning",
    "recover": "recovering",
    "train": "fine-tuning",
    "judge": "judging",
    "evaluate": "testing",
    "export": "exporting",
    "bench": "timing",
    "quantise": "quantising",
    "pack": "packing",
}
"""Phase of a job, as in events.jsonl -> how it is shown."""


def duration(seconds: float) -> str:
    """A stretch of time, to two places.

    Example:
        >>> duration(7.4), duration(95), duration(7300)
        ('7 s', '1 min 35 s', '2 h 1 min')
    """
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} {_('h')} {minutes} {_('min')}"
    return f"{minutes} {_('min')} {whole % 60} {_('s')}" if minutes else f"{whole} {_('s')}"


def file_size(size_bytes: float) -> str:
    """A number of bytes in a unit of three digits.

    Example:
        >>> file_size(999), file_size(12_345), file_size(7_340_032)
        ('999 B', '12.3 kB', '7.34 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= 0.9995 * scale:  # what rounds to 1,000 of the smaller unit is 1 of this one
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def clock_time(seconds: float | None) -> str:
    """Seconds since 1970 as a date and a time of day here; empty for None."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
