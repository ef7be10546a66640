"""Job files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.config.compress import CompressSettings
from tenfold.config.learn import LearnSettings
from tenfold.core.errors import TenfoldError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["job_settings", "read_toml"]


def job_settings(values: Mapping[str, Any]) -> CompressSettings | LearnSettings:
    """The settings in a job file, of whichever job it is.

    Raises:
        TenfoldError: as `NetworkSettings.make`.
    """
    schema = LearnSettings if values.get("method") == "lc" else CompressSettings
    return schema.make(values)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The values in a job file; nothing in it is checked yet.

    Raises:
        TenfoldError: there is no such file, or it is no TOML.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TenfoldError(
            f"job file {path}: {error.strerror or error}; give the job.toml of a run"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TenfoldError(f"job file {path}: this is no TOML ({error}); repair it") from None
