"""A finished run to pack, packages of it, and images to show them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from torch import nn

from tenfold.core.report import Measures, Report
from tenfold.data.digits import read_digits
from tenfold.deploy.onnx import export_onnx
from tenfold.packaging.contents import Contents
from tenfold.packaging.options import PackOptions
from tenfold.packaging.write import write_package
from tenfold.runs.directory import RunDirectory
from tenfold.runs.saved import save_model

SHAPE = (1, 8, 8)
_SYSTEM = (
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libpthread.so.0",
    "librt.so.1",
    "libutil.so.1",
    "libz.so.1",
)


def network(shape: tuple[int, int, int] = SHAPE, classes: int = 10) -> nn.Module:
    """A small one with weights that tell images apart."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(shape[0], 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * shape[1] * shape[2], classes),
    ).eval()


@cache
def _exported(shape: tuple[int, int, int], classes: int) -> bytes:
    """The network as an ONNX file; that takes seconds, so once is enough."""
    with tempfile.TemporaryDirectory() as folder:
        return export_onnx(network(shape, classes), Path(folder) / "model.onnx", shape).read_bytes()


def write_run(path: Path, shape: tuple[int, int, int] = SHAPE, classes: int = 10) -> RunDirectory:
    """What `compress` leaves of such a network, as far as packages look at it."""
    run, model = RunDirectory.create(path), network(shape, classes)
    run.onnx.write_bytes(_exported(shape, classes))
    names = [f"class {n}" for n in range(classes)]
    middle = [0.4, 0.45, 0.5][: shape[0]]
    metadata = {"arch": "small", "classes": names, "input": list(shape), "mean": middle, "std": middle}
    save_model(model, path, metadata=metadata)
    settings = {"data": "/somewhere/digits.zip"}
    before, after = Measures(1000, 9000, 98.5, 4000, 0.25), Measures(100, 900, 97.25, 400, None)
    run.write_report(Report(before, after, settings=settings))
    return run


def write_int8(run: RunDirectory) -> RunDirectory:
    """What ``tenfold export --int8`` leaves, as far as packages look at it: another file, and its figures."""
    model = onnx.load_model_from_string(run.onnx.read_bytes())
    model.doc_string = "in 8 bits"
    run.int8_onnx.write_bytes(model.SerializeToString())
    figures = {"size_bytes": run.int8_onnx.stat().st_size, "accuracy": 97.0, "latency_ms": 0.125}
    run.int8_report.write_text(json.dumps({"files": {"int8": {**figures, "held_out": 96.0}}}))
    return run


def write_folder(run: RunDirectory, out: Path, options: PackOptions | None = None) -> Path:
    """A plain folder of a run."""
    return write_package("folder", Contents.of(run, name="Ziffern 8x8"), out, options)


def write_digits(folder: Path, count: int | None = None) -> list[Path]:
    """Test images of the digits as PNG files; all of them by default."""
    folder.mkdir(exist_ok=True)
    images = read_digits()[1].images[:count]
    paths = [folder / f"{n:04d}.png" for n in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(np.asarray(image[0])).save(path)
    return paths


def bare_root(folder: Path) -> Path:
    """A root directory with glibc and zlib and nothing else: no shell, no Python."""
    loader = Path("/lib64/ld-linux-x86-64.so.2")
    mapped = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines())
    source = next(Path(name).parent for name in mapped if name.endswith("/libc.so.6"))
    for path in (loader, *(_beside(source, name) for name in _SYSTEM)):
        target = folder / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755)
    (folder / "tmp").mkdir()
    return folder


def _beside(folder: Path, name: str) -> Path:
    """A library that lies where the C library does, or in the same place below /usr."""
    return next(path for path in (folder / name, Path("/usr/lib") / folder.name / name) if path.exists())


def run_in(root: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program with `root` as the root directory and an empty environment."""
    become = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    return subprocess.run(
        [*become, shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin:/bin"), root, *command],
        input=stdin,
        env={},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
