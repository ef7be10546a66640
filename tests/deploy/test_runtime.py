from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import tenfold.deploy.runtime as runtime_module
from tenfold.core.errors import ExportError
from tenfold.deploy.runtime import session

SOURCE = Path(runtime_module.__file__).parents[1]
SCRIPT = """
import json, os, sys, time
from tenfold.deploy.runtime import session
import numpy as np
runtime = session(sys.argv[1], threads=2)
for _ in range(3):
    runtime.run(None, {"image": np.zeros((2, 3), np.float32)})
time.sleep(0.3)
links = []
for handle in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
    try:
        links.append(os.readlink("/proc/self/fd/" + handle))
    except OSError:
        pass
print(json.dumps([link for link in links if link.startswith("socket")]))
"""


def strace(log: Path) -> list[str]:
    """The call that records every network call and file opened, or nothing where tracing is not to be had."""
    program = shutil.which("strace")
    if program is None or subprocess.run([program, "-o", os.devnull, "true"], check=False).returncode:
        return []
    return [program, "-f", "-e", "trace=network,open,openat,creat", "-o", str(log)]


def test_opens_no_socket_and_leaves_no_file(tmp_path: Path, by_hand) -> None:
    model = by_hand(helper.make_node("Relu", ["image"], ["logits"]))
    home, scratch, cwd = (tmp_path / name for name in ("home", "scratch", "cwd"))
    for folder in (home, scratch, cwd):
        folder.mkdir()
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("XDG_")},
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(SOURCE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ORT_DISABLE_TELEMETRY": "0",  # whatever the user has there
    }
    log = tmp_path / "trace"
    call = [*strace(log), sys.executable, "-c", SCRIPT, str(model)]
    done = subprocess.run(call, env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == []
    assert [path for folder in (home, scratch, cwd) for path in folder.rglob("*")] == []
    if log.exists():
        calls = log.read_text().splitlines()
        assert any("onnxruntime" in line for line in calls)  # it was traced
        made = [line for line in calls if "O_CREAT" in line or "creat(" in line]
        network = [line for line in calls if "socket(" in line or "connect(" in line or "sendto(" in line]
        assert made == []
        assert network == []


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of all that a module imports, also by call."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names |= {str(a.value).split(".")[0] for a in node.args if isinstance(a, ast.Constant)}
    return names


def test_is_the_only_module_that_imports_onnxruntime() -> None:
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "onnxruntime" in imported(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert users == {"deploy/runtime.py"}


def test_session_takes_path_or_bytes_and_sets_threads(by_hand) -> None:
    path = by_hand(helper.make_node("Relu", ["image"], ["logits"]))
    for source in (path, str(path), path.read_bytes()):
        runtime = session(source, threads=2)
        options = runtime.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
        assert runtime.get_providers() == ["CPUExecutionProvider"]
        (answer,) = runtime.run(None, {"image": np.array([[-1, 0, 2]], np.float32)})
        assert answer.tolist() == [[0, 0, 2]]


def test_session_prints_nothing(by_hand, capfd: pytest.CaptureFixture[str]) -> None:
    # by default ONNX Runtime warns about a constant that nobody uses
    session(by_hand(helper.make_node("Relu", ["image"], ["logits"]), constants={"unused": 1.0}), threads=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("source", ["missing.onnx", b"no network", b""])
def test_session_that_cannot_load(source: str | bytes) -> None:
    with pytest.raises(ExportError, match="cannot load") as caught:
        session(source, threads=1)
    assert "\n" not in str(caught.value)


def test_session_without_threads() -> None:
    with pytest.raises(ExportError, match="0 threads"):
        session(b"", threads=0)
