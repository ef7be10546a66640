"""The parameter form without a display."""

import pytest

from tenfold.config import CompressSettings, LearnSettings, job_settings, read_toml, settings_of
from tenfold.core.errors import TenfoldError
from tenfold.studio.form import METHODS, NEEDED, Form, label, text_of

COMPLETE = {"arch": "small", "data": "digits", "budget": {"params": 0.2}}


def names(form, *, expert=True):
    return [field.setting.name for field in form.fields(expert=expert)]


@pytest.mark.parametrize("method", ["", "lc"])
def test_every_setting_is_a_field(method):
    form = Form({"method": method})
    # all that others depend on is switched on, so that nothing is hidden
    for setting in settings_of(form.schema):
        for name, wanted in setting.needs.items():
            form.set(name, wanted[0] if wanted else "1")
    wanted = [setting.name for setting in settings_of(METHODS[method]) if setting.name != "method"]
    assert names(form) == wanted


def test_a_form_with_nothing_given_is_the_job_with_all_defaults():
    assert Form(COMPLETE).settings() == CompressSettings.make(COMPLETE)
    assert Form({**COMPLETE, "method": "lc"}).settings() == LearnSettings.make({**COMPLETE, "method": "lc"})


def test_the_preset_of_a_method_holds_where_nothing_was_given():
    form = Form({**COMPLETE, "epochs": 7})
    form.set("method", "btd-bayes")
    assert (form.text("selector"), form.text("epochs"), form.text("schedule")) == (
        "bayes",
        "7",
        "cosine-cyclic",
    )
    assert form.settings() == CompressSettings.make({**COMPLETE, "epochs": 7, "method": "btd-bayes"})
    form.set("method", "")
    assert (form.text("selector"), form.text("epochs"), form.text("schedule")) == (
        "allocation",
        "7",
        "one-cycle",
    )


def test_an_emptied_field_is_the_default_again():
    form = Form(COMPLETE)
    form.set("epochs", "9")
    assert next(x for x in form.fields(expert=False) if x.setting.name == "epochs").given
    form.set("epochs", " ")
    assert form.text("epochs") == "0"
    assert not next(x for x in form.fields(expert=False) if x.setting.name == "epochs").given


def test_what_only_another_method_has_is_kept_for_it():
    form = Form({**COMPLETE, "selector": "bayes", "trials": 11})
    form.set("method", "lc")
    assert "trials" not in names(form)
    assert form.settings() == LearnSettings.make(COMPLETE)
    form.set("method", "")
    assert form.text("trials") == "11"


def test_fields_that_do_not_apply_are_hidden():
    form = Form(COMPLETE)
    assert "trials" not in names(form)
    assert "rate" not in names(form)
    assert "recovery_rate" in names(form)
    form.set("selector", "bayes")
    form.set("epochs", "2")
    form.set("recovery_steps", "0")
    assert {"trials", "rate"} <= set(names(form))
    assert "recovery_rate" not in names(form)
    assert "cycles" not in names(form)
    form.set("schedule", "cosine-cyclic")
    assert "cycles" in names(form)


def test_fields_for_experts_are_shown_when_asked_given_or_wrong():
    form = Form(COMPLETE)
    assert "metric" not in names(form, expert=False)
    assert "metric" in names(form)
    form.set("metric", "plain")
    assert "metric" in names(form, expert=False)
    form.set("calibration", "0")
    assert "calibration" in names(form, expert=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [("epochs", "-1"), ("epochs", "x"), ("budget", "params=2x"), ("budget", "foo=1"), ("resize", "32x0"),
     ("channels", "2"), ("mean", "a"), ("rate", "nan"), ("seed", "1e3"), ("scheme", "tuker")],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field_in_the_schemas_words(name, text):
    form = Form({**COMPLETE, "epochs": 1})
    assert form.errors() == {}
    form.set(name, text)
    assert list(form.errors()) == [name]
    with pytest.raises(TenfoldError) as error:
        form.settings()
    assert str(error.value) == form.errors()[name]
    field = next(field for field in form.fields(expert=False) if field.setting.name == name)
    assert (field.error, field.text) == (str(error.value), text)


def test_several_errors_are_told_at_once():
    form = Form({"epochs": -1})
    assert form.errors() == {
        "arch": NEEDED,
        "data": NEEDED,
        "epochs": form.errors()["epochs"],
    }


def test_what_is_about_several_fields_stands_under_none():
    assert list(Form({"arch": "small", "data": "digits"}).errors()) == [""]
    assert "leave one of them out" in Form({**COMPLETE, "plan": "plan.json"}).errors()[""]


@pytest.mark.parametrize(
    "values",
    [
        COMPLETE,
        {**COMPLETE, "method": "btd-bayes", "flip": False, "resize": [32, 24], "channels": 3},
        {**COMPLETE, "mean": [0.1, 0.25, 1e-7], "std": [1.0, 2.0, 3.0], "prune": False, "selector": "bayes"},
        {"arch": "resnet20", "data": "a b.zip", "plan": "plan.json", "weights": "x.pt", "seed": 2**62},
        {**COMPLETE, "method": "lc", "budget": {"params": 1 / 3, "macs": 2e6}, "multipliers": False},
    ],
)
def test_a_saved_job_file_is_the_command_lines_and_comes_back(tmp_path, values):
    form = Form(values)
    form.save(tmp_path / "job.toml")
    assert (tmp_path / "job.toml").read_text(encoding="utf-8") == job_settings(values).to_toml()
    again = Form.load(tmp_path / "job.toml")
    assert again.settings() == form.settings() == job_settings(read_toml(tmp_path / "job.toml"))
    assert [again.text(name) for name in names(form)] == [form.text(name) for name in names(form)]


def test_a_form_that_is_wrong_writes_no_file(tmp_path):
    with pytest.raises(TenfoldError, match="arch"):
        Form().save(tmp_path / "job.toml")
    assert not list(tmp_path.iterdir())


def test_a_job_file_with_something_unknown_is_refused(tmp_path):
    (tmp_path / "job.toml").write_text('arch = "small"\ndata = "digits"\nepoch = 3\n')
    with pytest.raises(TenfoldError, match="no setting 'epoch'; the nearest is epochs"):
        Form.load(tmp_path / "job.toml")


def test_names_that_no_job_has_are_refused():
    with pytest.raises(KeyError):
        Form().set("epoch", "3")
    with pytest.raises(KeyError):
        Form().set("method", "c")
    assert set(METHODS) == {"", "btd-bayes", "lc"}


def test_texts_of_budgets_may_be_written_loosely():
    form = Form(COMPLETE)
    form.set("budget", " params = 0.5  macs=2e6 ")
    assert form.settings().budget == {"params": 0.5, "macs": 2e6}
    assert text_of("budget", form.settings().budget) == "params=0.5, macs=2000000"


def test_labels_are_all_different():
    every = {name for schema in METHODS.values() for name in schema.model_fields}
    assert len({label(name) for name in every}) == len(every)
