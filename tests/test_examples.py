"""The examples, run as a reader would."""

from __future__ import annotations

import subprocess
import sys

import nbclient
import nbformat
import pytest

from reader import ROOT, environment

EXAMPLES = ROOT / "examples"


def test_a_script_of_forty_lines():
    assert len((EXAMPLES / "own_network.py").read_text().splitlines()) <= 40


@pytest.mark.slow
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
