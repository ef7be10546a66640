"""The examples and the commands of the first pages, run as a reader would."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def environment(folder: Path) -> dict[str, str]:
    """One thread, a cache of its own, and the programs of this environment first."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "TENFOLD_CACHE": str(folder / "cache"),
        "PATH": os.pathsep.join([programs, os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT / "src"),
    }


def test_a_script_of_forty_lines():
    assert len((EXAMPLES / "own_network.py").read_text().splitlines()) <= 40


@pytest.mark.slow
@pytest.mark.long
def test_own_network_is_a_fifth_and_still_knows_the_digits(tmp_path):
    made = subprocess.run(
        [sys.executable, EXAMPLES / "own_network.py"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    sizes, accuracies, *plan = made.stdout.splitlines()
    before, _, after, _ = sizes.replace(",", "").split()
    assert before == "63370"
    assert 0.19 * 63370 < int(after) <= 0.2 * 63370
    original, _, compressed, *_ = accuracies.split()
    assert float(original) > 96
    assert float(compressed) > float(original) - 3
    assert [line.partition(":")[0] for line in plan] == ["0", "2.one", "2.two", "4.one", "4.two", "7"]


@pytest.mark.slow
@pytest.mark.long
def test_notebook_ends_with_a_program_that_answers(tmp_path, monkeypatch):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    book = nbformat.read(EXAMPLES / "from_network_to_program.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in book.cells)
    nbclient.NotebookClient(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = ["".join(output.get("text", "") for output in cell.get("outputs", [])) for cell in book.cells]
    compared = next(text for text in said if "of the test set" in text)
    before, _, after, *_ = compared.split()
    assert float(before) > 90
    assert float(after) > 90
    assert "run directory: run" in "".join(said)
    truth, _, most_likely, *_ = said[-1].splitlines()
    assert most_likely.split("%")[1].strip() == truth.removeprefix("it is ")
    assert (tmp_path / "digits/model.onnx").is_file()
    assert not any("error" in text.lower() for text in said)


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
