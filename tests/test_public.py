from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import tenfold


def test_all_is_exactly_what_is_public() -> None:
    assert tenfold.__all__ == sorted(tenfold._HOMES)
    assert dir(tenfold) == sorted(tenfold.__all__)
    for name in tenfold.__all__:
        home = import_module(f"tenfold.{tenfold._HOMES[name]}")
        assert getattr(tenfold, name) is getattr(home, name)
        assert name in home.__all__
        assert getattr(tenfold, name).__doc__


def test_type_checkers_see_what_runs() -> None:
    source = Path(tenfold.__file__).read_text()
    for name, home in tenfold._HOMES.items():
        line = next(row for row in source.splitlines() if f"from tenfold.{home} import" in row)
        names = " ".join(r for r in source.splitlines() if f"from tenfold.{home} import" in r)
        assert name in names.replace(",", " ").split(), line


def test_every_module_has_an_all_of_its_own_names() -> None:
    root = Path(tenfold.__file__).parent
    for path in root.rglob("*.py"):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if parts[-1] == "__main__" or "__all__" not in path.read_text():
            continue
        module = import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
        assert all(hasattr(module, name) for name in module.__all__), path


def test_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'compres'"):
        _ = tenfold.compres  # type: ignore[attr-defined]


def test_importing_costs_nothing_until_it_is_used() -> None:
    code = "import sys, tenfold; assert 'torch' not in sys.modules; tenfold.Budget; tenfold.compress"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_types_are_shipped() -> None:
    assert (Path(tenfold.__file__).parent / "py.typed").is_file()
