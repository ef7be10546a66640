"""The commands of the first pages, run as a reader would."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from reader import ROOT, environment

STUDIO = "--target studio"  # PyTorch in a program takes minutes to pack


@pytest.fixture
def script(monkeypatch) -> ModuleType:
    """What runs them."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("run_readme")


def carried_out(folder: Path, *options: str) -> str:
    """What the script prints that runs the commands."""
    command = [sys.executable, ROOT / "scripts/run_readme.py", folder / "reader", *options]
    made = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    return made.stdout


@pytest.mark.slow
@pytest.mark.long
def test_every_command_of_readme_and_quick_start_runs(tmp_path, script):
    said = carried_out(tmp_path, "--but", STUDIO)
    for page in script.PAGES:
        own = [command for command in script.commands(page.read_text()) if command.startswith("tenfold ")]
        assert len(own) >= 6, page
        for command in own:
            assert (f"$ {script.shortened(command)}\n" in said) is (STUDIO not in command), command


@pytest.mark.slow
@pytest.mark.long
def test_studio_is_packed_as_the_page_says(tmp_path):
    assert f"$ tenfold pack {STUDIO}" in carried_out(tmp_path, "--only", STUDIO)


def test_commands_are_found_on_a_page(tmp_path, script):
    page = "\n".join(
        [
            "`tenfold bench runs/a` and `tenfold learn ...`",
            "``` { .sh .run }",
            "tenfold compress --method lc \\",
            "    --out b  # a remark",
            "```",
            "``` text",
            "tenfold printed this",
            "```",
            "```python",
            "x = 1",
            "```",
        ]
    )
    found = script.commands(page)
    assert found == [
        "tenfold bench runs/a",
        "tenfold compress --method lc      --out b  # a remark",
        "x = 1\n",
    ]
    assert script.shortened(found[1]).split() == [
        *["tenfold", "compress", "--method", "lc", "--out", "b"],
        *script.SHORTER["compress --method"].split(),
    ]
    assert script.run("print(model)", tmp_path)
    assert not script.run("raise SystemExit(3)", tmp_path)
    assert not script.run("tenfold compress --method nothing", tmp_path)
    assert shutil.which("bash")
