from __future__ import annotations

import json
from typing import Any

import pytest

from run_samples import search
from tenfold.core.errors import RunError
from tenfold.reporting.search import read_search


def test_everything_is_read() -> None:
    content = search(30)
    found = read_search(json.dumps(content))
    assert (found.space, found.sampler, len(found.trials)) == ("corrections", "tenfold", 30)
    assert [found.ended(state) for state in ("complete", "pruned", "failed")] == [21, 6, 3]
    assert found.trials[7].solution is None
    assert found.trials[29].best == min(x["loss"] for x in content["trials"] if x["state"] == "complete")
    assert found.importance == {"layer1": 0.6, "layer2": 0.3, "conv1": 0.1}
    assert found.front[0].costs == content["front"][0]["costs"]
    assert found.slice is not None
    assert found.slice.mean[3][1] == content["slice"]["mean"][3][1]


def test_a_search_that_has_only_begun() -> None:
    found = read_search('{"space": "ranks", "sampler": "tpe"}')
    assert (found.trials, found.importance, found.front, found.slice) == ((), {}, (), None)


def test_trials_stand_in_order_and_what_is_no_number_is_not_there() -> None:
    rows = [
        {"number": 1, "state": "complete", "loss": 0.5, "costs": {"params": None, "macs": 5}, "best": 0.5},
        {"number": 0, "state": "pruned", "loss": float("nan"), "best": float("inf")},
    ]
    content = {"space": "ranks", "sampler": "tpe", "trials": rows, "importance": {"a": float("nan"), "b": 1}}
    found = read_search(json.dumps(content))
    assert [trial.number for trial in found.trials] == [0, 1]
    assert (found.trials[0].solution, found.trials[0].best) == (None, None)
    assert found.trials[1].solution is not None
    assert found.trials[1].solution.costs == {"macs": 5.0}
    assert found.importance == {"b": 1.0}


def changed(**changes: Any) -> str:
    content = search(3)
    content.update(changes)
    return json.dumps(content)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        changed(trials=[{"number": 0, "state": "running"}]),
        changed(trials=[{"state": "failed"}]),
        changed(importance=[1]),
        changed(slice={**search(3)["slice"], "a": [1.0]}),
        changed(slice={**search(3)["slice"], "mean": [[1.0]]}),
        changed(slice={**search(3)["slice"], "deviation": [[float("nan")] * 5] * 11}),
        changed(slice={**search(3)["slice"], "names": ["one"]}),
    ],
)
def test_what_is_no_search_is_said(text: str) -> None:
    with pytest.raises(RunError, match=r"this is no search\.json that tenfold wrote .*: search again"):
        read_search(text)
