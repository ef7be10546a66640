from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.core.errors import BudgetError, PlanError
from tenfold.core.plan import Budget, Choice, Plan

ORIGINAL = {"params": 1000, "macs": 5000, "size_bytes": 4000}


def test_fractions_and_numbers():
    budget = Budget(params=0.2, macs=2500, size_bytes=1)
    assert budget.limits(ORIGINAL) == {"params": 200.0, "macs": 2500, "size_bytes": 4000}
    assert Budget(macs=0.5).limits(ORIGINAL) == {"macs": 2500.0}
    assert Budget(params=1.5).limits(ORIGINAL) == {"params": 1.5}


def test_parse():
    assert Budget.parse(["params=0.2", " macs = 5e3"]) == Budget(params=0.2, macs=5000.0)
    assert list(Budget(params=0.2).as_dict()) == ["params", "macs", "size_bytes", "latency_ms"]
    assert Budget.parse(["latency=0.5"]) == Budget(latency_ms=0.5)


def test_a_limit_on_what_is_not_known_of_the_original():
    with pytest.raises(BudgetError, match="latency_ms cannot be kept here: only params, macs, size_bytes"):
        Budget(latency_ms=0.5).limits(ORIGINAL)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "at least one of params, macs, size_bytes"),
        (["params"], "'' is no number"),
        (["params=half"], "'half' is no number; write it as params=0.2"),
        (["flops=0.2"], "'flops' is none of params, macs, size_bytes"),
        (["params=0"], "must be above 0"),
        (["params=-1"], "must be above 0"),
        (["params=nan"], "must be above 0"),
        (["params=inf"], "must be above 0"),
        (["params=0.2", "params=0.5"], "params was set to 0.2 before"),
    ],
)
def test_budgets_that_cannot_be_read(texts, message):
    with pytest.raises(BudgetError) as caught:
        Budget.parse(texts)
    assert message in str(caught.value)


NAMES = st.text(min_size=1)
CHOICES = st.none() | st.builds(
    Choice, st.sampled_from(["btd", "cp", 'a"b']), st.lists(st.integers(0, 999)).map(tuple)
)


@given(st.dictionaries(NAMES, CHOICES))
def test_json_there_and_back(choices):
    plan = Plan(choices)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert list(again) == list(choices), "network order"
    assert again.to_json() == plan.to_json()


def test_json_is_one_layer_a_line():
    plan = Plan({"conv": Choice("btd", (16, 3, 3)), "fc": None})
    assert plan.to_json() == '{\n  "conv": {"scheme": "btd", "rank": [16, 3, 3]},\n  "fc": null\n}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("not json", "no JSON.* at line 1"),
        ("[]", "this is a list"),
        ('{"conv": 3}', "layer 'conv'.*met 3"),
        ('{"conv": {"scheme": "btd"}}', "layer 'conv'.*expected null or"),
        ('{"conv": {"scheme": 1, "rank": [1]}}', "layer 'conv'"),
        ('{"conv": {"scheme": "btd", "rank": [1.5]}}', "layer 'conv'"),
        ('{"conv": {"scheme": "btd", "rank": [true]}}', "layer 'conv'"),
        ('{"conv": {"scheme": "btd", "rank": "33"}}', "layer 'conv'"),
        ('{"fc": null, "conv": null, "conv": null}', "names 'conv' twice"),
    ],
)
def test_plans_that_cannot_be_read(text, message):
    with pytest.raises(PlanError, match=message):
        Plan.from_json(text)


def test_a_plan_is_a_mapping_that_does_not_change():
    source = {"conv": Choice("svd", (4,)), "fc": None}
    plan = Plan(source)
    source["new"] = None
    assert isinstance(plan, Mapping)
    assert (len(plan), list(plan), plan["fc"]) == (2, ["conv", "fc"], None)
    edited = plan.with_layer("fc", Choice("svd", (2,)))
    assert plan["fc"] is None
    assert edited["fc"] == Choice("svd", (2,))
    assert plan.factorised == {"conv": Choice("svd", (4,))}
    assert list(edited.factorised) == ["conv", "fc"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan["conv"].rank = (1,)


def test_a_plan_goes_to_a_worker_process():
    plan = Plan({"conv": Choice("svd", (4,)), "fc": None})
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert copy.deepcopy(plan) == plan
    assert repr(plan) == "Plan({'conv': Choice(scheme='svd', rank=(4,)), 'fc': None})"
