"""What `make test` installs has the versions that were tried."""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
BUILT_WITH = {"setuptools"}  # chosen by the build


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for() -> list[str]:
    """The requirements of the project and of its extra `dev`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = re.search(r"tenfold\[(.*)\]", extras["dev"][0])
    own = [text for extra in named[1].split(",") for text in extras[extra]]
    return [*project["dependencies"], *own, *extras["dev"][1:]]


def brought(named: list[str], extras: set[str], found: set[str]) -> set[str]:
    """Names of the distributions that requirements bring along, as far as they are installed here."""
    for requirement in map(Requirement, named):
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            continue
        key = f"{canonical(requirement.name)}[{','.join(sorted(requirement.extras))}]"
        if key not in found:
            found.add(key)
            brought(requires(requirement.name) or [], requirement.extras, found)
    return found


def test_every_package_of_the_environment_is_pinned():
    pins = [line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()]
    assert all(len(pin) == 2 for pin in pins)
    names = [canonical(name) for name, _ in pins]
    assert len(names) == len(set(names))
    asked = {key.split("[")[0] for key in brought(asked_for(), set(), set())}
    assert {"torch", "mkdocs-material", "nbclient", "pyinstaller"} <= asked
    assert asked - set(names) <= BUILT_WITH
