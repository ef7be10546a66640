"""Real processes: started, found again, stopped gently and otherwise."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenfold.studio import process
from tenfold.studio.command import arguments_of
from tenfold.studio.jobs import Job
from tenfold.studio.process import CHILD, Process, identity, program, restore_environment

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal as s; s.signal(s.SIGINT, s.SIG_IGN); s.signal(s.SIGTERM, s.SIG_IGN); " + SLEEPS
SPAWN = f"subprocess.Popen([sys.executable, '-c', {SLEEPS!r}])"
PARENT = f"import subprocess, sys; child = {SPAWN}; print(child.pid, flush=True); child.wait()"
STARTS = f"""
import sys
from pathlib import Path
from tenfold.studio.process import Process
print(Process.start([sys.executable, "-c", {SLEEPS!r}], log=Path(sys.argv[1]), folder=Path.cwd()).text)
"""

Start = Callable[[str], Process]


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


@pytest.fixture
def start(log: Path, tmp_path: Path) -> Iterator[Start]:
    started: list[Process] = []

    def run(code: str) -> Process:
        started.append(Process.start([sys.executable, "-c", code], log=log, folder=tmp_path))
        until(lambda: len(log.read_text().splitlines()) > 1)  # it has printed
        return started[-1]

    yield run
    for one in started:
        one.kill()
        until(one.ended)


def test_ends_with_a_status_and_all_it_printed(log: Path, tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); sys.stderr.write('ä'); sys.exit(3)"
    done = Process.start([sys.executable, "-c", code], log=log, folder=tmp_path)
    until(done.ended)
    assert done.status == 3
    first, *rest = log.read_text(encoding="utf-8").splitlines()
    assert first.startswith("--- 20")
    assert shlex.split(first)[3:] == [sys.executable, "-c", code]  # to be pasted into a terminal
    assert rest == [str(tmp_path), "ä"]
    again = Process.start([sys.executable, "-c", ""], log=log, folder=tmp_path)
    until(again.ended)
    assert log.read_text(encoding="utf-8").startswith(first)  # added to


def test_an_interrupt_is_a_ctrl_c(start: Start, log: Path) -> None:
    one = start(SLEEPS)
    one.interrupt()
    until(one.ended)
    assert one.status == -signal.SIGINT
    assert "KeyboardInterrupt" in log.read_text()
    one.interrupt()  # nothing is left to be hit
    one.kill()


def test_an_interrupt_reaches_what_was_started_deaf_to_it(log: Path, tmp_path: Path) -> None:
    """A shell starts programs in the background deaf to Ctrl-C, and their children inherit that."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        one = Process.start([sys.executable, "-c", SLEEPS], log=log, folder=tmp_path)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)
    until(lambda: "up" in log.read_text())
    one.interrupt()
    until(one.ended)
    assert one.status == -signal.SIGINT


def test_only_a_kill_ends_what_refuses_all_else(start: Start) -> None:
    one = start(STUBBORN)
    one.interrupt()
    one.terminate()
    time.sleep(0.3)
    assert not one.ended()
    one.kill()
    until(one.ended)
    assert one.status == -signal.SIGKILL


def test_those_that_it_started_end_with_it(start: Start, log: Path) -> None:
    one = start(PARENT)
    child = int(log.read_text().splitlines()[1])
    assert identity(child) is not None
    os.kill(one.pid, signal.SIGKILL)
    until(one.ended)
    until(lambda: identity(child) is None)


def test_is_found_by_number_and_start(start: Start) -> None:
    one = start(SLEEPS)
    found = Process.found(one.text)
    assert found is not None
    assert found.pid == one.pid
    assert Process.found(f"{one.pid} another/1") is None  # the number of a process that is over
    assert Process.found(f"{os.getpid()} {one.text.split()[1]}") is None
    assert Process.found("") is Process.found("123") is Process.found(f"{2**22 + 1} x") is None
    found.terminate()
    until(one.ended)
    assert found.ended()
    assert found.status is None
    assert Process.found(one.text) is None


def test_goes_on_without_the_program_that_started_it(log: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(process.__file__).parents[2])}
    call = [sys.executable, "-W", "ignore", "-c", STARTS, str(log)]
    text = subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stdout.strip()
    found = Process.found(text)
    assert found is not None
    found.interrupt()
    until(found.ended)


@pytest.mark.parametrize("name", ["_identity_of_linux", "_identity"])
@pytest.mark.skipif(sys.platform != "linux", reason="one of them is of Linux")
def test_both_ways_to_know_a_process(start: Start, name: str) -> None:
    known_by = getattr(process, name)
    one, parent = start(SLEEPS), known_by(os.getppid())
    first = known_by(one.pid)
    assert first
    assert first == known_by(one.pid) != parent
    os.kill(one.pid, signal.SIGKILL)
    until(lambda: Path(f"/proc/{one.pid}/stat").read_text().split()[2] == "Z")
    assert known_by(one.pid) is None  # nobody has asked for its status yet
    assert known_by(2**22 + 1) is None


def test_what_cannot_be_started(log: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Process.start([str(tmp_path / "none")], log=log, folder=tmp_path)
    with pytest.raises(OSError, match="No such file"):
        Process.start([sys.executable], log=log, folder=tmp_path / "none")


def test_a_bundle_starts_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program() == [sys.executable, "-m", "tenfold"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert program() == [sys.executable, CHILD]
    file, run = tmp_path / "job.toml", tmp_path / "run"
    job = Job(1, "Ada", "compress", "", file, run, "queued", 0, None, None, cancelling=False, error="")
    assert arguments_of(job) == ([sys.executable, CHILD, "compress", f"--job={file}", f"--out={run}"], run)


def test_a_bundle_lends_its_libraries_to_no_other_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/bundle")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/before")
    restore_environment()
    assert os.environ["LD_LIBRARY_PATH"] == "/bundle"  # no bundle's program
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    restore_environment()
    assert os.environ["LD_LIBRARY_PATH"] == "/before"
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ
    monkeypatch.setenv("LD_LIBRARY_PATH", "/bundle")
    restore_environment()
    assert "LD_LIBRARY_PATH" not in os.environ


def test_a_bundle_in_one_file_unpacks_itself_anew_for_a_job(log: Path, tmp_path: Path) -> None:
    code = "import os; print(os.environ['PYINSTALLER_RESET_ENVIRONMENT'])"
    until(Process.start([sys.executable, "-c", code], log=log, folder=tmp_path).ended)
    assert log.read_text().splitlines()[1:] == ["1"]


def test_a_first_line_is_read_and_nothing_else(log: Path, tmp_path: Path) -> None:
    code = "import sys; print(ascii(sys.stdin.read()))"
    one = Process.start([sys.executable, "-c", code], log=log, folder=tmp_path, first_line="geheim ä")
    until(one.ended)
    first, answer = log.read_text().splitlines()
    assert "geheim" not in first
    assert answer == ascii("geheim ä\n")
    over = Process.start([sys.executable, "-c", ""], log=log, folder=tmp_path, first_line="never read")
    until(over.ended)
    assert over.status == 0
