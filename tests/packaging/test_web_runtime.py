"""ONNX Runtime Web: where it comes from, and what is said where it cannot come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenfold.core.errors import ExportError
from tenfold.packaging.web_runtime import RUNTIME_WEB_VERSION, web_runtime

ARCHIVE = f"onnxruntime-web-{RUNTIME_WEB_VERSION}.tgz"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENFOLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onnxruntime-web"


def program(folder: Path, script: str) -> Path:
    """An npm that does `script`."""
    folder.mkdir()
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    return folder


def test_without_npm_the_error_says_what_to_install_and_where_else_the_file_may_come_from(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExportError, match=r"there is no npm: install Node\.js with npm, or put") as caught:
        web_runtime()
    assert ARCHIVE in str(caught.value)
    assert str(empty_cache) in str(caught.value)


def test_what_npm_says_is_passed_on(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network getaddrinfo failed' >&2; exit 1"
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin", script)))
    with pytest.raises(ExportError, match=r"npm failed \(network getaddrinfo failed\): connect this machine"):
        web_runtime()
    assert not empty_cache.exists()


def test_other_bytes_than_those_pinned_are_refused_and_not_kept(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin", f"echo other > {ARCHIVE}")))
    with pytest.raises(ExportError, match="another SHA-512"):
        web_runtime()
    assert not empty_cache.exists()


def test_a_damaged_file_in_the_cache_is_not_used(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty_cache.mkdir(parents=True)
    (empty_cache / ARCHIVE).write_bytes(b"cut short")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExportError, match="there is no npm"):
        web_runtime()


@pytest.mark.slow
def test_it_comes_by_npm_once_and_then_from_the_cache(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = web_runtime()
    assert first.wasm.startswith(b"\0asm")
    assert RUNTIME_WEB_VERSION.encode() in first.script
    monkeypatch.setenv("PATH", "")
    assert web_runtime() == first
    assert [file.name for file in empty_cache.iterdir()] == [ARCHIVE]
