from __future__ import annotations

import pytest

from tenfold.core.errors import UnknownNameError
from tenfold.schemes.registry import SCHEMES, candidates_of, get_scheme


def test_every_scheme_is_found_under_its_own_name():
    for name, scheme in SCHEMES.items():
        assert scheme.name == name
        assert get_scheme(name) is scheme
        assert len(set(scheme.rank_names)) == len(scheme.rank_names) > 0
    assert {"svd", "tucker", "cp", "btd", "tt", "tt-tucker"} <= set(SCHEMES)


@pytest.mark.parametrize("name", ["tuker", "Tucker", "tucker2"])
def test_unknown_scheme_names_the_near_one(name):
    with pytest.raises(UnknownNameError, match=f"no scheme '{name}'; the nearest (is|are) tucker"):
        get_scheme(name)
    with pytest.raises(UnknownNameError, match="tucker"):
        candidates_of(name, pointwise=False)


def test_unknown_scheme_without_a_near_one_lists_all():
    with pytest.raises(UnknownNameError) as caught:
        get_scheme("zzz")
    assert all(name in str(caught.value) for name in SCHEMES)


def test_registry_is_read_only():
    with pytest.raises(TypeError):
        SCHEMES["other"] = SCHEMES["svd"]


def test_candidates_hold_the_scheme_asked_for_and_nothing_foreign():
    for name in ("svd", "tucker", "cp", "btd", "tt", "tt-tucker"):
        names = {scheme.name for scheme in candidates_of(name, pointwise=False)}
        assert name in names
        assert names <= {name, "svd-mirrored"}
    auto = {scheme.name for scheme in candidates_of("auto", pointwise=False)}
    assert {"svd", "btd", "tt"} <= auto


@pytest.mark.parametrize("name", ["svd", "tucker", "cp", "btd", "tt", "tt-tucker", "auto"])
def test_a_matrix_has_but_one_decomposition(name):
    assert [scheme.name for scheme in candidates_of(name, pointwise=True)] == ["svd"]
