"""The bundle of the whole tool: built, and used where its environment is out of reach."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file

from display import hidden_display, pixels_of, screenshot
from tenfold.cli.bundle import main
from tenfold.core.errors import ExportError
from tenfold.packaging import studio
from tenfold.packaging.write import place_package
from tenfold.runs.directory import RunDirectory
from tenfold.zoo.build import build
from tenfold_runner.manifest import MANIFEST, files_below, read_manifest
from web_samples import DIGITS

# Starts a job as the window does, and waits for it.
JOB = f"""
import time
from tenfold.studio.store import Store
with Store("data") as store:
    session = store.accounts.create_administrator("Ada", "counting to 1815")
    settings = {{**{DIGITS}, "weights": "weights.safetensors", "workers": 2, "threads": 1}}
    number = store.queue.add(session, "compress", settings).id
    while not store.queue.job(session, number).over:
        store.queue.poll()
        time.sleep(0.1)
    job = store.queue.job(session, number)
    print(job.state, job.run_directory, store.queue.log(session, number), sep="\\n")
"""

# About a minute and a half of processor time and 1.2 GB of disk, ten minutes where other work runs; and an
# environment with PyTorch's build for processors, in which tenfold is installed as its pyproject.toml is now.
BUILDS = pytest.mark.skipif("TENFOLD_BUNDLE" not in os.environ, reason="TENFOLD_BUNDLE=1 builds it")


def test_a_torch_for_graphics_cards_is_refused() -> None:
    with pytest.raises(ExportError, match="this PyTorch brings nvidia-cublas-cu12, gigabytes that"):
        studio._check_processor({"numpy": None, "nvidia-cublas-cu12": None})
    studio._check_processor({"numpy": None})


def test_a_program_that_lists_no_networks_is_not_packed(tmp_path: Path) -> None:
    program = tmp_path / studio.PROGRAM
    added = "[PYI-7:ERROR] Failed to execute script 'start' due to unhandled exception!"
    failed = f"Traceback:\\n  File\\nKeyError: 'a'\\n{added}"
    for script, said in (
        ("echo no library >&2; exit 1", "no library"),
        ("echo '[]'", "nothing"),
        (f'printf "{failed}" >&2', "KeyError: 'a'"),
        (f'echo "{added}" >&2', added),
    ):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(ExportError, match=re.escape(f"does not work here; it says: {said}; install")):
            studio.prove_studio(tmp_path)
    program.write_text('#!/bin/sh\n[ "$1" = -c ] && echo \'["small"]\'\n')
    studio.prove_studio(tmp_path)


def test_a_bundle_cannot_build_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ExportError, match="this bundle cannot build programs: copy the run to a computer"):
        place_package(tmp_path / "out", studio.build_studio, studio.prove_studio)
    assert list(tmp_path.iterdir()) == []


def test_the_program_is_the_command_line_and_python_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["tenfold-studio", "-B", "-X", "utf8", "-c", "import sys; print(sys.argv)", "a"]
    )
    main()
    assert capsys.readouterr().out == "['-c', 'a']\n"
    for arguments in (["command-line", "--version"], ["--version"], ["-m", "tenfold", "--version"]):
        monkeypatch.setattr(sys, "argv", ["tenfold-studio", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in (0, None)
        assert capsys.readouterr().out.startswith("tenfold ")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, finished."""
    return place_package(
        tmp_path_factory.mktemp("bundle") / "studio", studio.build_studio, studio.prove_studio
    )


def started(bundle: Path, *arguments: str, home: Path, **more: str) -> subprocess.Popen[str]:
    """The program, in an environment that says nothing of Python."""
    return subprocess.Popen(
        [bundle / studio.PROGRAM, *arguments],
        cwd=home,
        env={"HOME": str(home), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@BUILDS
def test_its_command_line_trains_compresses_and_packs(bundle: Path, tmp_path: Path) -> None:
    assert set(files_below(bundle)) - {MANIFEST} == set(read_manifest(bundle))
    demo = started(bundle, "command-line", "demo", "--out", "run", home=tmp_path)
    said, _ = demo.communicate(timeout=1800)
    assert demo.returncode == 0, said
    assert json.loads((tmp_path / "run" / "report.json").read_text())["after"]["params"] < 20_000
    # workers of joblib are processes that it starts as it would start Python
    program = "import joblib; print(joblib.Parallel(2)(joblib.delayed(abs)(-n) for n in range(3)))"
    assert started(bundle, "-c", program, home=tmp_path).communicate(timeout=600)[0] == "[0, 1, 2]\n"
    closing = started(bundle, "-c", "import sys; sys.stdout.close()", home=tmp_path)
    assert closing.communicate(timeout=600)[0] == ""  # as the tracker of joblib's resources does
    packed = started(bundle, "pack", "run", "--target", "folder", "--out", "package", home=tmp_path)
    assert "package: package" in packed.communicate(timeout=600)[0]
    refused = started(bundle, "pack", "run", "--target", "cli", home=tmp_path)
    assert "this bundle cannot build programs" in refused.communicate(timeout=600)[0]


@pytest.mark.slow
@BUILDS
def test_its_window_runs_jobs(bundle: Path, tmp_path: Path) -> None:
    save_file(build("small", classes=10, channels=1).state_dict(), tmp_path / "weights.safetensors")
    said, _ = started(bundle, "-c", JOB, home=tmp_path).communicate(timeout=1800)
    assert said.startswith("done\n"), said
    assert RunDirectory(Path(said.splitlines()[1])).read_report().after.params > 0


@pytest.fixture
def display() -> Iterator[str]:
    with hidden_display() as name:
        yield name


@pytest.mark.slow
@BUILDS
def test_its_window_opens_where_no_environment_is(bundle: Path, tmp_path: Path, display: str) -> None:
    program = started(bundle, home=tmp_path, DISPLAY=display)
    try:
        stop = time.monotonic() + 300
        while pixels_of(screenshot(display), "#FFFFFF") < 1000:
            assert program.poll() is None, program.communicate()[0]
            assert time.monotonic() < stop, "nothing is to be seen"
            time.sleep(0.5)
    finally:
        program.kill()
        program.communicate()
