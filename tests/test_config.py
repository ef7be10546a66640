from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w

from tenfold import config
from tenfold.config import CompressSettings, InspectSettings, LearnSettings, read_toml, settings_of
from tenfold.config.pages import EXPERT, NEEDS, PAGES
from tenfold.core.errors import BudgetError, TenfoldError, UnknownNameError
from tenfold.core.names import MetricKind
from tenfold.core.plan import Budget
from tenfold.schemes.registry import candidates_of

GOOD: dict[str, Any] = {"arch": "small", "data": "digits", "budget": {"params": 0.2}}


def test_texts_of_a_command_line_and_values_of_a_file_are_the_same_settings() -> None:
    texts = {
        "arch": "small",
        "data": "digits",
        "budget": ["params=0.2", "macs=2e6"],
        "resize": "16x24",
        "channels": "3",
        "mean": "0.1,0.2,0.3",
        "epochs": "4",
        "rate": "1e-3",
    }
    values = {
        "arch": "small",
        "data": "digits",
        "budget": {"params": 0.2, "macs": 2e6},
        "resize": [16, 24],
        "channels": 3,
        "mean": [0.1, 0.2, 0.3],
        "epochs": 4,
        "rate": 0.001,
    }
    made = CompressSettings.make(texts)
    assert made == CompressSettings.make(values)
    assert made.resize == (16, 24)
    assert made.asked_budget() == Budget(params=0.2, macs=2e6)


def test_one_number_is_a_square() -> None:
    for value in ("32", 32, [32]):
        assert CompressSettings.make({**GOOD, "resize": value}).resize == (32, 32)


def test_job_file_goes_and_comes_back(tmp_path: Path) -> None:
    odd = 'a "quoted" \\ näme\twith tab'
    made = CompressSettings.make({**GOOD, "weights": odd, "mean": "0.5", "flip": False, "out": "x/y"})
    (tmp_path / "job.toml").write_text(made.to_toml(), encoding="utf-8")
    assert CompressSettings.make(read_toml(tmp_path / "job.toml")) == made


def test_job_file_names_and_explains_every_setting() -> None:
    text = CompressSettings.make(GOOD).to_toml()
    for setting in settings_of(CompressSettings):
        assert f"# {setting.help}\n" in text
        assert f"{setting.name} = " in text or f"# {setting.name} is not set" in text or "[budget]" in text


def test_defaults_are_filled_in_but_those_found_out_later() -> None:
    values = CompressSettings.make(GOOD).as_dict()
    assert {name for name, value in values.items() if value is None} == {
        "weights",
        "front",
        "recovery_batch",
        "method",
        "storage",
        "threads",
        "resize",
        "channels",
        "mean",
        "std",
        "padding",
        "flip",
        "cache",
        "plan",
        "out",
    }


def test_every_setting_has_a_help_text_and_numbers_a_range() -> None:
    for schema in (CompressSettings, InspectSettings):
        for setting in settings_of(schema):
            assert len(setting.help) > 10
            assert setting.help.endswith(".")
            if setting.kind in ("whole", "number"):
                assert setting.low is not None
    kinds = {setting.name: setting.kind for setting in settings_of(CompressSettings)}
    assert kinds["plan"] == "path"
    assert kinds["epochs"] == "whole"
    assert kinds["rate"] == "number"
    assert kinds["flip"] == "flag"
    assert kinds["channels"] == kinds["scheme"] == "choice"
    assert kinds["mean"] == kinds["resize"] == "numbers"
    assert {setting.name for setting in settings_of(CompressSettings) if setting.required} == {"arch", "data"}


def test_choices_are_those_of_the_registries() -> None:
    choices = {setting.name: setting.choices for setting in settings_of(CompressSettings)}
    for scheme in choices["scheme"]:
        assert candidates_of(scheme, pointwise=False)
    with pytest.raises(UnknownNameError) as error:
        candidates_of("x", pointwise=False)
    assert set(error.value.args[2]) == set(choices["scheme"])
    assert choices["metric"] == get_args(MetricKind)
    assert choices["channels"] == (1, 3)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"epochs": -1},
            TenfoldError,
            r"epochs = -1: .*greater than or equal to 0; it means: Epochs of fine",
        ),
        ({"epochs": "x"}, TenfoldError, r"epochs = 'x': .*valid integer"),
        ({"rate": "inf"}, TenfoldError, r"rate = 'inf': .*less than or equal to 10"),
        ({"scheme": "tuker"}, UnknownNameError, "no scheme 'tuker'; the nearest are tucker, tt-tucker"),
        ({"metric": "logit"}, UnknownNameError, "no metric 'logit'; the nearest is logits"),
        ({"channels": 2}, TenfoldError, "channels = 2: known are 1, 3"),
        ({"epoch": 3}, UnknownNameError, "no setting 'epoch'; the nearest is epochs"),
        ({"resize": "axb"}, TenfoldError, "resize = 'a': "),
        ({"resize": "1x2x3"}, TenfoldError, "resize = "),
        ({"budget": {}}, BudgetError, "neither a budget nor a plan"),
        ({"plan": "plan.json"}, BudgetError, "both a budget and a plan"),
        ({"budget": {"parms": 1}}, BudgetError, "budget 'parms': is none of params, macs, size_bytes"),
        ({"budget": ["params=0"]}, BudgetError, "params=0: must be above 0"),
        ({"budget": {"macs": -1}}, BudgetError, "macs=-1: must be above 0"),
        ({"budget": {"params": "x"}}, TenfoldError, r"budget = 'x': .*valid number"),
    ],
)
def test_bad_values(change: dict[str, Any], kind: type[TenfoldError], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        CompressSettings.make({**GOOD, **change})
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_missing_value_says_how_to_give_it() -> None:
    with pytest.raises(TenfoldError, match="data is not given: pass --data: Images: digits"):
        CompressSettings.make({"arch": "small", "budget": {"params": 0.5}})


def test_changes_are_checked() -> None:
    made = CompressSettings.make(GOOD)
    assert made.with_values(seed=4).seed == 4
    with pytest.raises(TenfoldError, match="seed = -1"):
        made.with_values(seed=-1)


def test_job_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(TenfoldError, match="none.toml: No such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(TenfoldError, match="bad.toml: this is no TOML"):
        read_toml(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(TenfoldError, match="bad.toml: this is no TOML"):
        read_toml(tmp_path / "bad.toml")


def test_writer_agrees_with_the_library_on_plain_values() -> None:
    made = CompressSettings.make(GOOD)
    values = {name: value for name, value in made.as_dict().items() if value is not None}
    assert config.files.tomllib.loads(made.to_toml()) == config.files.tomllib.loads(tomli_w.dumps(values))


def test_schema_does_not_need_torch() -> None:
    code = "import sys, tenfold.config, tenfold.cli.app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SCHEMAS = [InspectSettings, CompressSettings, LearnSettings]


def test_every_setting_has_one_page() -> None:
    shown = [name for names in PAGES.values() for name in names]
    known = {setting.name for schema in SCHEMAS for setting in settings_of(schema)}
    assert sorted(shown) == sorted(known)
    assert known >= EXPERT


def test_needs_name_settings_of_the_same_schema_and_values_they_have() -> None:
    assert set(NEEDS) <= {name for names in PAGES.values() for name in names}
    for schema in SCHEMAS[1:]:
        known = {setting.name: setting for setting in settings_of(schema)}
        for name in known.keys() & NEEDS.keys():
            for other, values in NEEDS[name].items():
                assert set(values or ()) <= set(known[other].choices)


def test_a_required_setting_is_always_shown() -> None:
    required = {s.name for schema in SCHEMAS for s in settings_of(schema) if s.required}
    assert not required & (EXPERT | NEEDS.keys())


def test_a_setting_is_needed_where_others_say_so() -> None:
    def applies(name: str, **values: object) -> bool:
        made = CompressSettings.make({**GOOD, **values})
        return next(s for s in settings_of(CompressSettings) if s.name == name).applies(made.as_dict())

    assert not applies("trials")
    assert applies("trials", selector="bayes")
    assert not applies("cycles", epochs=3)
    assert applies("cycles", epochs=3, schedule="exp-cyclic")
    assert not applies("temperature", epochs=3)
    assert applies("temperature", epochs=3, distillation=0.5)
