"""The distributions of an environment, copied."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import Distribution, version
from pathlib import Path

import pytest

from tenfold.core.errors import ExportError
from tenfold.packaging.environment import (
    copy_distributions,
    copy_sources,
    needed_distributions,
    top_names,
)


@pytest.fixture
def installed(tmp_path: Path) -> Distribution:
    """A distribution as pip leaves it, with files that no program reads."""
    place = tmp_path / "site"
    contents = {
        "thing/__init__.py": "VALUE = 41\n",
        "thing/_fast.cpython-311.so": "",
        "thing/data.txt": "5",
        "thing/tests/test_thing.py": "",
        "thing/include/thing.h": "",
        "thing/template.py": "<% no Python %>",
        "single.py": "",
        "torch/bin/test_api": "",
        "torch/bin/torch_shm_manager": "",
        "thing.pth": "import os",
        "thing-1.dist-info/METADATA": "Name: thing\nVersion: 1\n",
    }
    for name, text in contents.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    listed = [*contents, "thing/__pycache__/__init__.cpython-311.pyc", "../bin/thing", "thing/gone.py"]
    (place / "thing-1.dist-info" / "RECORD").write_text("".join(f"{name},,\n" for name in listed))
    return Distribution.at(place / "thing-1.dist-info")


def modules(folder: Path) -> list[str]:
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.endswith(".pyc"))


def test_what_programs_read_is_copied_and_nothing_else(installed: Distribution, tmp_path: Path) -> None:
    copy_distributions([installed], tmp_path / "out")
    assert modules(tmp_path / "out") == [
        "single.py",
        "thing-1.dist-info/METADATA",
        "thing/__init__.py",
        "thing/_fast.cpython-311.so",
        "thing/data.txt",
        "thing/template.py",
        "torch/bin/torch_shm_manager",
    ]
    assert top_names([installed]) == {"thing", "single", "torch"}


def test_bytecode_holds_whatever_the_dates_of_files_become(installed: Distribution, tmp_path: Path) -> None:
    copy_distributions([installed], tmp_path / "out")
    module = tmp_path / "out" / "thing" / "__init__.py"
    module.write_text("VALUE = 0  # the bytecode is taken, not this\n")
    os.utime(module, (0, 0))
    program = "import thing; print(thing.VALUE, thing.__file__)"
    met = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=module.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert met.stdout.split() == ["41", str(module)]


def test_bytecode_of_an_older_file_is_not_taken(installed: Distribution, tmp_path: Path) -> None:
    source = tmp_path / "site" / "thing" / "__init__.py"
    subprocess.run([sys.executable, "-m", "compileall", "-q", source], check=True)
    source.write_text("VALUE = 43\n")
    os.utime(source, (1, 1))
    copy_distributions([installed], tmp_path / "out")
    met = subprocess.run(
        [sys.executable, "-S", "-c", "import thing; print(thing.VALUE)"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=True,
    )
    assert met.stdout == "43\n"


def test_all_that_is_needed_is_found_and_what_is_not_installed_is_named() -> None:
    needed = needed_distributions("tenfold", "studio")
    assert {"tenfold", "torch", "sympy", "ttkbootstrap", "argon2-cffi", "cffi"} <= needed.keys()
    assert not {"pyinstaller", "pytest", "executorch"} & needed.keys()
    with pytest.raises(ExportError, match=r"no-such-thing is not installed: pip install 'tenfold\[studio\]'"):
        needed_distributions("no-such-thing", "studio")


def test_sources_on_the_path_do_not_hide_what_was_installed(
    installed: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = tmp_path / "src" / "thing.egg-info"  # as setuptools leaves it in a folder of sources
    beside.mkdir(parents=True)
    (beside / "PKG-INFO").write_text("Name: thing\nVersion: 0\n")
    (beside / "SOURCES.txt").write_text("src/thing/__init__.py\nREADME.md\n")
    for place in ("site", "src"):
        monkeypatch.syspath_prepend(str(tmp_path / place))
    assert version("thing") == "0"
    (found,) = needed_distributions("thing", "studio").values()
    assert found.version == "1"
    assert top_names([found]) == top_names([installed])
    (tmp_path / "site" / "thing-1.dist-info" / "RECORD").unlink()
    with pytest.raises(ExportError, match=r"^thing is not installed: pip install 'tenfold\[studio\]'$"):
        needed_distributions("thing", "studio")


def test_a_folder_of_sources_is_copied_with_its_data(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner" / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "inner/page.md", "inner/__pycache__/old.pyc"):
        (package / name).write_text("")
    copy_sources(package, tmp_path / "out")
    assert modules(tmp_path / "out") == ["package/__init__.py", "package/inner/page.md"]
