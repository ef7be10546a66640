from __future__ import annotations

import pytest

from closed_forms import CLOSED_FORMS
from conformance import SchemeLaws
from tenfold.schemes.registry import SCHEMES


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES.keys())
class TestRegisteredSchemes(SchemeLaws):
    """Everything that is registered obeys every law."""


def test_every_scheme_states_its_closed_form():
    assert set(CLOSED_FORMS) == set(SCHEMES)
