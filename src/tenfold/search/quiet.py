"""Optuna without its chatter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import ExperimentalWarning

__all__ = ["quiet"]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence, while the block lasts, Optuna's progress and its warnings of what is experimental in it.

    The heartbeat of its storages is experimental, and it does not expect one beside ask and tell; this
    package keeps its own. Errors are still logged.
    """
    logger = logging.getLogger("optuna")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
