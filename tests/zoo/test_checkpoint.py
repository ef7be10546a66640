from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tenfold.core.errors import WeightsError
from tenfold.zoo.checkpoint import read_checkpoint


def tensors() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == tensors().keys() and all(torch.equal(found[k], v) for k, v in tensors().items())


def test_safetensors_whatever_the_suffix(tmp_path):
    save_file(tensors(), tmp_path / "a.bin")
    assert same(read_checkpoint(tmp_path / "a.bin"))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "nest",
    [
        lambda t: t,
        lambda t: {"state_dict": t, "epoch": torch.tensor(3), "best": 92.1},
        lambda t: {"model_state_dict": t, "optimizer": {"state": {0: torch.ones(2)}}},
        lambda t: {"model": t},
        lambda t: {"model": {"state_dict": t}},
        lambda t: {"net": t, "acc": 90},
    ],
)
def test_torch_checkpoints_and_their_nests(tmp_path, nest, zipped):
    path = tmp_path / "a.safetensors"  # the content decides, not the name
    torch.save(nest(tensors()), path, _use_new_zipfile_serialization=zipped)
    assert same(read_checkpoint(path))


class Foreign:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_never_runs_code(tmp_path, zipped):
    path, proof = tmp_path / "a.pt", tmp_path / "proof"
    torch.save({"state_dict": tensors(), "x": Foreign(proof)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        WeightsError, match=r"a\.pt: asks to load \w+\.system, .*torch\.save\(model\.state_dict"
    ):
        read_checkpoint(path)
    assert not proof.exists()


def test_a_whole_pickled_network_is_refused_with_the_way_out(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"asks to load torch\.nn\.modules\.linear\.Linear.*state_dict"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"version https://git-lfs", b"[1, 2, 3, 4, 5]", b"\x89PNG\r\n"]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pt: neither a safetensors file nor a torch checkpoint"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_text_with_a_brace_in_the_ninth_place_is_no_safetensors_file(tmp_path):
    (tmp_path / "a.json").write_text('{"a":   {"b": 1}}')
    with pytest.raises(WeightsError, match=r"a\.json: no whole safetensors file"):
        read_checkpoint(tmp_path / "a.json")


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_cut_short_is_refused(tmp_path, kind, share):
    path = tmp_path / "a"
    many = {f"t{n}": torch.ones(100) for n in range(20)}
    if kind == "safetensors":
        save_file(many, path)
    else:
        torch.save(many, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(WeightsError, match="no whole"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "it holds a list"),
        (torch.ones(2), "it holds a Tensor"),
        ({}, "it holds nothing"),
        ({"epoch": 3, "lr": 0.1}, "it holds epoch, lr"),
        ({"state_dict": {"epoch": 3}}, "it holds epoch"),
    ],
)
def test_a_checkpoint_without_tensors_by_name_tells_what_it_holds(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=message):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}, 2)[:-3], b"\x80", b"\x80\x02", b"PK\x03\x04"])
def test_a_plain_pickle_of_nonsense_is_refused(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(WeightsError, match="no whole torch checkpoint"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.pt: cannot be read \(No such file"):
        read_checkpoint(tmp_path / "nowhere.pt")
    with pytest.raises(WeightsError, match=r"cannot be read .*directory"):
        read_checkpoint(tmp_path)
