"""The commands of the first pages, run as a reader would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reader import ROOT, environment

STUDIO = "--target studio"  # PyTorch in a program takes minutes to pack


def carried_out(folder: Path, *options: str) -> str:
    """What the script prints that runs the commands."""
    command = [sys.executable, ROOT / "scripts/run_readme.py", folder / "reader", *options]
    made = subprocess.run(command, env=environment(folder), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    return made.stdout


@pytest.mark.slow
def test_every_command_of_readme_and_quick_start_runs(tmp_path, script):
    run_readme, said = script("run_readme"), carried_out(tmp_path, "--but", STUDIO)
    for page, least in zip(run_readme.PAGES, (8, 7), strict=True):
        every = [x for x in run_readme.commands(page.read_text()) if not x.startswith(run_readme.NOT_RUN)]
        assert len(every) >= least, page
        for command in every:
            assert (f"$ {run_readme.shortened(command)}\n" in said) is (STUDIO not in command), command


@pytest.mark.slow
@pytest.mark.long
def test_studio_is_packed_as_the_page_says(tmp_path):
    assert f"$ tenfold pack {STUDIO}" in carried_out(tmp_path, "--only", STUDIO)


def test_commands_are_found_on_a_page(tmp_path, script):
    run_readme = script("run_readme")
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
    found = run_readme.commands(page)
    assert found == [
        "tenfold bench runs/a",
        "tenfold compress --method lc      --out b  # a remark",
        "x = 1\n",
    ]
    assert run_readme.shortened(found[1]).split() == [
        *["tenfold", "compress", "--method", "lc", "--out", "b"],
        *run_readme.SHORTER["compress --method"].split(),
    ]
    assert run_readme.shortened("x = 1  # Python\n") == "x = 1  # Python\n"
    assert run_readme.run("print(model)", tmp_path)
    assert not run_readme.run("raise SystemExit(3)", tmp_path)
    assert not run_readme.run("tenfold compress --method nothing", tmp_path)
    assert shutil.which("bash")
