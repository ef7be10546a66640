"""Where a form and the help show a setting, and when it means something."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EXPERT", "NEEDS", "PAGES", "place_of"]

PAGES: Mapping[str, tuple[str, ...]] = {
    "Network and images": (
        "method", "arch", "weights", "data", "budget", "plan", "out", "input", "classes", "resize",
        "channels", "mean", "std", "padding", "flip", "held_out", "calibration",
    ),
    "Ranks": (
        "scheme", "keep", "selector", "ranks", "metric", "target", "latency_threads", "choices", "generous",
        "rank_trials", "trials", "space", "sampler", "trial_steps", "prune", "front", "storage", "until",
        "measured",
    ),
    "Learning-compression": (
        "warm_up", "warm_up_schedule", "steps", "step_epochs", "step_rate", "step_schedule", "mu", "growth",
        "multipliers", "tolerance",
    ),
    "Recovery": (
        "recovery_steps", "recovery_rate", "recovery_batch", "recovery_features", "recovery_mixed",
    ),
    "Training": (
        "epochs", "rate", "batch", "schedule", "cycles", "distillation", "temperature", "mirrored",
        "smoothing", "mixed", "cut_out", "optimiser", "momentum", "weight_decay", "averaging",
    ),
    "Machine": ("seed", "workers", "threads", "form", "precision", "cache"),
}  # fmt: skip
"""Page -> its settings, in the order in which they are shown."""

EXPERT = frozenset(
    {
        "calibration", "channels", "mean", "std", "padding", "flip", "keep", "metric", "latency_threads",
        "generous", "choices", "space", "sampler", "trial_steps", "prune", "storage", "until", "measured",
        "warm_up_schedule", "step_schedule", "mu", "growth", "multipliers", "tolerance", "recovery_rate",
        "recovery_batch", "recovery_features", "recovery_mixed", "temperature", "mirrored", "smoothing",
        "mixed", "cut_out", "optimiser", "momentum", "weight_decay", "averaging", "form", "precision",
        "cache",
    }
)  # fmt: skip
"""Settings whose defaults serve most users."""

_CYCLIC = ("cosine-cyclic", "exp-cyclic")
_TRIALS = {"selector": ("bayes",)}
_RECOVERY = {"recovery_steps": None}
_TRAINING = {"epochs": None}
_DISTILLATION = {"epochs": None, "distillation": None}
_STEPS = {"steps": None}

NEEDS: Mapping[str, Mapping[str, tuple[str, ...] | None]] = {
    **dict.fromkeys(("trials", "trial_steps", "prune", "storage", "space", "sampler", "front"), _TRIALS),
    "rank_trials": {"ranks": ("evbmf+bayes",)},
    **dict.fromkeys(("recovery_rate", "recovery_batch", "recovery_features", "recovery_mixed"), _RECOVERY),
    **dict.fromkeys(("rate", "schedule", "distillation", "smoothing"), _TRAINING),
    **dict.fromkeys(("mixed", "cut_out", "averaging", "optimiser"), _TRAINING),
    **dict.fromkeys(("step_epochs", "step_schedule"), _STEPS),
    **dict.fromkeys(("mu", "growth", "multipliers", "tolerance"), _STEPS),
    "warm_up_schedule": {"warm_up": None},
    "cycles": {"epochs": None, "schedule": _CYCLIC},
    **dict.fromkeys(("temperature", "mirrored"), _DISTILLATION),
}  # fmt: skip
"""Setting -> what it needs to mean something: others, and their values; None for any but 0."""


def place_of(name: str) -> tuple[int, int]:
    """Where a setting is shown: number of its page, and its place there.

    Raises:
        KeyError: it is on none.

    Example:
        >>> place_of("seed")
        (5, 0)
    """
    for page, names in enumerate(PAGES.values()):
        if name in names:
            return page, names.index(name)
    raise KeyError(name)
