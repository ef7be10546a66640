"""The commands of the first pages, run as a reader would."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys

import pytest

from reader import ROOT, environment


@pytest.mark.slow
@pytest.mark.long
def test_every_command_of_readme_and_quick_start_runs(tmp_path):
    command = [sys.executable, ROOT / "scripts/run_readme.py", tmp_path / "reader"]
    made = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout[-4000:] + made.stderr[-4000:]
    for page, least in (("README.md", 8), ("quick-start.md", 7)):
        assert made.stdout.count("\n$ ") >= least, page


def test_commands_are_found_on_a_page(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    run_readme = importlib.import_module("run_readme")
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
    assert run_readme.run("print(model)", tmp_path)
    assert not run_readme.run("raise SystemExit(3)", tmp_path)
    assert not run_readme.run("tenfold compress --method nothing", tmp_path)
    assert shutil.which("bash")
