"""The documentation is held against what it describes."""

from __future__ import annotations

import html
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from closed_forms import CLOSED_FORMS
from tenfold.cli.app import app
from tenfold.schemes.registry import SCHEMES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.parent.name != "measured")
_FENCE = re.compile(r"^``` ?(?P<kind>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(path: Path, kind: str) -> list[tuple[str, str]]:
    """(title, code) of the blocks of a page whose language is `kind`, in their order."""
    found = [(match["kind"], match["code"]) for match in _FENCE.finditer(path.read_text())]
    titles = [re.search(r'title="([^"]*)"', head) for head, _ in found]
    return [
        (title[1] if title else "", code)
        for title, (head, code) in zip(titles, found, strict=True)
        if kind in re.split(r"[ {}.]+", head)
    ]


def commands(path: Path) -> list[list[str]]:
    """Every `tenfold ...` of the shell blocks of a page, as words."""
    text = "\n".join(code for head, code in _FENCE.findall(path.read_text()) if "text" not in head)
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if line.startswith(("tenfold ", "torchrun "))]
    return [line[line.index("tenfold") + 1 :] for line in words]


def nav_files(entry: object) -> list[str]:
    """The files of a navigation, whatever its depth."""
    if isinstance(entry, str):
        return [entry]
    children = entry.values() if isinstance(entry, dict) else entry
    return [file for child in children for file in nav_files(child)]


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: path.stem)
def test_every_command_and_option_of_a_page_exists(path):
    known = typer.main.get_command(app).commands
    for name, *words in commands(path):
        assert name in known, f"tenfold {name}"
        options = {flag for p in known[name].params for flag in [*p.opts, *p.secondary_opts]}
        unknown = {word for word in words if word.startswith("--")} - options - {"--help"}
        assert not unknown, f"tenfold {name} {unknown}"


def test_pages_hold_commands():
    assert len([line for path in PAGES for line in commands(path)]) > 15
    assert [words[0] for words in commands(DOCS / "quick-start.md")][:3] == ["demo", "inspect", "compress"]


def test_every_page_is_in_the_navigation():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert sorted(nav_files(config["nav"])) == sorted(str(path.relative_to(DOCS)) for path in PAGES)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_files_that_a_page_names_are_there(path):
    named = re.findall(r"`((?:tests|benchmarks|scripts|examples)/[\w/.-]+?\.\w+)`", path.read_text())
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_demo_says_the_same_in_readme_and_quick_start():
    said = [code for _, code in blocks(ROOT / "README.md", "text")]
    assert len(said) == 1
    assert said[0] == blocks(DOCS / "quick-start.md", "text")[0][1]


def test_continuous_integration_does_what_the_readme_says():
    script = (ROOT / ".ci/run").read_text().splitlines()
    first = next(code for _, code in _FENCE.findall((ROOT / "README.md").read_text()))
    named = [line.partition("#")[0].strip() for line in first.splitlines()]
    assert named == ["make demo", "make test"]
    assert {*named, "make --jobs=2 --output-sync check docs", "make proofs"} <= set(script)


def test_no_line_of_the_first_pages_is_left_out(script):
    reader = script("run_readme")
    assert [page.name for page in reader.PAGES] == ["README.md", "quick-start.md"]
    for page in reader.PAGES:
        text = page.read_text()
        taken = reader.commands(text)
        left_out = {line.partition("#")[0].strip() for line in taken if line.startswith(reader.NOT_RUN)}
        assert left_out <= {"make demo", "make test"}  # which CI runs before
        for head, code in _FENCE.findall(text):
            pieces = [code] if "python" in head else code.replace("\\\n", " ").splitlines()
            assert "text" in head or set(pieces) <= set(taken)


def test_links_of_the_readme_lead_to_files():
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert "docs/images/front.svg" in links
    assert [link for link in links if not link.startswith("https:") and not (ROOT / link).is_file()] == []


def test_code_about_data_runs():
    ((_, code),) = blocks(DOCS / "how-to/own-data.md", "python")
    exec(code, {})


def test_tables_are_those_of_the_results(script, monkeypatch, tmp_path):
    measurements = script("docs_measurements")
    kept = measurements.MEASURED
    monkeypatch.setattr(measurements, "MEASURED", tmp_path)
    measurements.write_tables()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "parts.md",
        "rules.md",
        "schemes.md",
        "search.md",
        "ways.md",
    ]
    for made in tmp_path.iterdir():
        assert made.read_text() == (kept / made.name).read_text()
        assert made.read_text().count("\n") > 4


def test_formulas_become_mathml(script, caplog):
    hooks = script("docs_hooks")
    page = '<p><span class="arithmatex">\\(a &lt; b\\)</span></p><div class="arithmatex">\\[\nx^2\n\\]</div>'
    made = hooks.on_page_content(page)
    assert "arithmatex" not in made
    assert made.count("<math") == 2
    assert 'display="block"' in made
    assert "&#x0003C;" in made
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        hooks.formula(r"\nosuchcommand x", display=False)
    assert "nosuchcommand" in caplog.text


def test_links_that_lead_nowhere_are_found(script, tmp_path):
    links = script("docs_links")
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#here"></a><a href="#top"></a><a href="https://example.org"></a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="here"></h1><img src="data:,"><a href="."></a>')
    (tmp_path / "index.html").write_text("")
    assert links.problems(tmp_path) == []
    (tmp_path / "b.html").write_text(
        '<a href="a.html#gone"></a><a href="c.html"></a><script src="https://cdn.example/x.js"></script>'
        '<a href="http://example.org"></a><span class="arithmatex">\\(x\\)</span>'
    )
    found = links.problems(tmp_path)
    assert [sentence.split(": ", 1)[1] for sentence in found if sentence.startswith("b.html")] == [
        "fetches https://cdn.example/x.js",
        "formulas that are still TeX: 1",
        "a.html#gone: no such place there",
        "c.html leads to no file",
        "http://example.org is not https",
    ]
    assert any("no such place" in sentence for sentence in found if sentence.startswith("a.html"))
    assert links.problems(tmp_path / "none")


@pytest.mark.slow
@pytest.mark.long
def test_the_site_is_built_without_a_warning_and_its_links_lead_somewhere(script, tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "WARNING" not in made.stderr
    assert script("docs_links").problems(tmp_path / "site") == []
    formulas = (tmp_path / "site/methods/evbmf.html").read_text()
    assert formulas.count("<math") > 10
    assert "a command that MathML" not in made.stderr
    assert "arithmatex" not in formulas
    reference = html.unescape(re.sub(r"<[^>]+>", "", (tmp_path / "site/api.html").read_text()))
    assert '>>> Budget.parse(["params=0.2", "macs=0.5"])\nBudget(params=0.2, macs=0.5' in reference


def changed(text: str, diff: str) -> str:
    """`text` after a hunk of unified diff without line numbers."""
    before = "".join(line[1:] + "\n" for line in diff.splitlines() if line[0] in " -")
    after = "".join(line[1:] + "\n" for line in diff.splitlines() if line[0] in " +")
    assert text.count(before) == 1, before
    return text.replace(before, after)


@pytest.mark.slow
def test_a_scheme_is_added_as_the_page_says(tmp_path):
    page = DOCS / "adding-a-scheme.md"
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    pieces = [code for _, code in blocks(page, "python")]
    assert len(pieces) == 4
    (tmp_path / "src/tenfold/schemes/separable.py").write_text("\n".join(pieces))
    for title, diff in blocks(page, "diff"):
        file = tmp_path / title
        file.write_text(changed(file.read_text(), diff))
    ((_, command),) = blocks(page, "sh")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "src"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "300",
    }

    def run(*words: str) -> str:
        made = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        return made.stdout

    passed = re.search(r"(\d+) passed", run("-m", *shlex.split(command), "-p", "no:cacheprovider"))
    assert passed
    assert int(passed[1]) > 40
    said = run(
        "-c",
        "import torch, tenfold; fit = tenfold.decompose(torch.randn(8, 6, 3, 3), 'separable', (9,));"
        "print([tuple(w.shape) for w in fit.weights], fit.error < 1, tenfold.__file__)",
    )
    assert said.startswith(f"[(9, 6, 3, 1), (8, 9, 1, 3)] True {tmp_path}")
    assert "separable" in run("-m", "tenfold", "compress", "--help")


def test_pictures_of_chains_say_what_the_chains_ship(script):
    images = script("docs_images")
    for name, rank in images.RANKS.items():
        said = (DOCS / f"images/scheme-{name}.svg").read_text()
        assert f"{CLOSED_FORMS[name](images.LAYER.shape, rank):,} of 36,864 parameters" in said
        widths = [stage.out for stage in SCHEMES[name].layout(images.LAYER, rank)]
        assert all(f">{width}<" in said for width in widths)
