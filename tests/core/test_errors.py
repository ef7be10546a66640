from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from tenfold.core import errors
from tenfold.core.errors import TenfoldError, UnknownNameError, nearest

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, TenfoldError)]


@pytest.mark.parametrize(
    "name", ["RankError", "ShapeError", "UnsupportedLayerError", "BudgetError", "NonFiniteError"]
)
def test_what_is_a_wrong_value_is_a_value_error(name):
    assert issubclass(getattr(errors, name), TenfoldError)
    assert issubclass(getattr(errors, name), ValueError)


def test_the_tree_is_the_one_drawn():
    drawn = [line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    assert sorted(drawn) == sorted(c.__name__ for c in CLASSES if c is not TenfoldError)
    assert {c.__name__ for c in CLASSES} <= set(errors.__all__)


def test_unknown_name_names_the_near_one():
    error = UnknownNameError("scheme", "tuker", iter(["tucker", "btd"]))
    assert str(error) == "no scheme 'tuker'; the nearest is tucker"
    assert isinstance(error, LookupError)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_errors_survive_the_way_out_of_a_worker_process(copied):
    made = [
        UnknownNameError("scheme", "x", ["btd"]),
        *(c("text") for c in CLASSES if c is not UnknownNameError),
    ]
    for error in made:
        assert str(copied(error)) == str(error)
        assert type(copied(error)) is type(error)


def test_nearest():
    names = ["layer2.0.conv1", "layer2.0.conv2", "layer1.0.conv1", "layer1.0.conv2", "linear"]
    assert nearest("layer2.0.conv3", names).startswith("the nearest are layer2.0.conv")
    assert nearest("layer2.0.conv3", names).count(",") == 2
    assert nearest("zzz", ["b", "a"]) == "known are b, a"
    assert nearest("zzz", []) == "none is known"
    assert (
        nearest("zzz", map(str, range(20)))
        == "known are " + ", ".join(map(str, range(12))) + ", ... (20 in all)"
    )
    assert nearest("zzz", map(str, range(12))).endswith("10, 11")
