from __future__ import annotations

import importlib.util
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deploy.networks import SHAPE, images, small
from tenfold.core.errors import ExportError, ParityError
from tenfold.deploy.forms import EXTENSIONS, bytes_of, export_form, fresh_parity

EXECUTORCH = importlib.util.find_spec("executorch") is not None


class Several(nn.Module):
    """Outputs in a dictionary and a tuple, one of them a single number."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, image: Tensor) -> dict[str, Tensor | tuple[Tensor, Tensor]]:
        logits = self.net(image)
        return {"pair": (logits, logits.argmax(1)), "mean": logits.mean()}


def made(folder: Path, form: str, model: nn.Module | None = None) -> Path:
    return export_form(model or small(), folder / f"model{EXTENSIONS[form]}", SHAPE, form)


@pytest.mark.parametrize(
    "form",
    [
        "pt2",
        pytest.param("onnx", marks=pytest.mark.slow),
        pytest.param("safetensors", marks=pytest.mark.slow),
        pytest.param(
            "pte",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not EXECUTORCH, reason="the extra executorch is not installed"),
            ],
        ),
    ],
)
def test_a_fresh_process_answers_alike(tmp_path: Path, form: str) -> None:
    path = made(tmp_path, form)
    model = small().train()
    # float32 through four layers, as in the parity of ONNX; the two torch forms compute the same bits
    most = 0.0 if form in ("pt2", "safetensors") else 5e-6
    assert fresh_parity(model, path, images(5), form) <= most
    assert model.training


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("form", ["pt2", "safetensors"])
def test_answers_of_any_structure(tmp_path: Path, form: str) -> None:
    assert fresh_parity(Several(), made(tmp_path, form, Several()), images(1), form) == 0


@pytest.mark.slow
@pytest.mark.long
def test_another_network_is_told_apart(tmp_path: Path) -> None:
    path, model = made(tmp_path, "pt2"), small()
    with torch.no_grad():
        model.head.bias += 0.01
    with pytest.raises(ParityError, match=r"the largest relative difference is 0\.0\d+, allowed is 0.0001"):
        fresh_parity(model, path, images(3), "pt2")
    with pytest.raises(ParityError, match=r"gives outputs \[\(3, 4\)\], the network \[\(3, 192\)\]"):
        fresh_parity(nn.Flatten(), path, images(3), "pt2")


def test_a_program_holds_no_source_and_has_the_same_bytes_again(tmp_path: Path) -> None:
    path = made(tmp_path, "pt2")
    with zipfile.ZipFile(path) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    for foreign in (b".py", b"self.stem(image)", b"sample_inputs"):
        assert foreign not in content
    (tmp_path / "again").mkdir()
    assert made(tmp_path / "again", "pt2").read_bytes() == path.read_bytes()


def test_sizes_are_those_of_the_files(tmp_path: Path) -> None:
    folder, file = made(tmp_path, "safetensors"), made(tmp_path, "pt2")
    (folder / "report.json").write_text("not counted")
    assert bytes_of(file) == file.stat().st_size
    assert bytes_of(folder) == sum(
        (folder / f"model.{end}").stat().st_size for end in ("safetensors", "json")
    )


@pytest.mark.slow
@pytest.mark.long
def test_what_does_not_load_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path, "pt2")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ExportError, match=r"model.pt2 does not run in a process of its own"):
        fresh_parity(small(), path, images(1), "pt2")
    folder = made(tmp_path, "safetensors")
    shutil.move(folder / "model.json", folder / "gone.json")
    with pytest.raises(ExportError, match=r"own: .*RunError: .*model.json"):
        fresh_parity(small(), folder, images(1), "safetensors")


def test_a_network_that_needs_its_code_has_no_folder_of_its_own(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image * 2 if image.shape[1] == 3 else image

    with pytest.raises(ExportError, match=r"safetensors .*without its code.* --format pt2"):
        export_form(Branching(), tmp_path / "model", SHAPE, "safetensors")
    assert not (tmp_path / "model").exists()


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    class Fixed(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.reshape(2, -1)

    with pytest.raises(ExportError, match="torch.export failed: .*fixes no batch size"):
        export_form(Fixed(), tmp_path / "fixed.pt2", SHAPE, "pt2")
    assert not (tmp_path / "fixed.pt2").exists()


def test_executorch_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    monkeypatch.delitem(sys.modules, "executorch.exir", raising=False)
    monkeypatch.setitem(sys.modules, "executorch.backends", None)
    with pytest.raises(
        ExportError, match=r"executorch, which is not installed .* pip install 'tenfold\[executorch\]'"
    ):
        made(tmp_path, "pte")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot make"):
        export_form(small(), tmp_path / "file" / "model", SHAPE, "safetensors")
