from __future__ import annotations

import inspect
from typing import Any, get_args

from tenfold.cli.options import given, takes_settings
from tenfold.config import CompressSettings, settings_of


def test_one_option_a_setting_after_the_commands_own() -> None:
    @takes_settings(CompressSettings)
    def command(job: int = 3, **values: Any) -> None:
        """Nothing."""

    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["job", *(setting.name for setting in settings_of(CompressSettings))]
    assert parameters["job"].default == 3
    assert all(parameter.default is None for name, parameter in parameters.items() if name != "job")


def test_help_has_range_and_default() -> None:
    @takes_settings(CompressSettings)
    def command(**values: Any) -> None:
        """Nothing."""

    helps = {
        name: get_args(parameter.annotation)[1].help
        for name, parameter in inspect.signature(command).parameters.items()
    }
    assert helps["epochs"].endswith("(at least 0, default 0)")
    assert helps["rate"].endswith("(at least 0, at most 10, default 0.02)")
    assert helps["mean"].endswith("0.5 for grey.")


def test_only_what_was_given_counts() -> None:
    assert given({"a": None, "b": [], "c": False, "d": "0"}) == {"c": False, "d": "0"}
