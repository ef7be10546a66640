from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import tenfold
import tenfold.deploy.onnx as onnx_module
from deploy import networks
from deploy.networks import SHAPE, images, small
from tenfold.core.errors import ExportError, RunError
from tenfold.deploy.onnx import OPSET, compact, export_onnx
from tenfold.deploy.runtime import session

TESTS = Path(networks.__file__).parents[1]


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, image: Tensor) -> dict[str, object]:
        print("forward prints")  # noqa: T201
        mean = image.mean((2, 3))
        return {"a": self.layer(mean), "rest": [mean * 2, mean + 1]}


class FixedBatch(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.reshape(2, -1).sum(1, keepdim=True)


class BatchMean(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.mean((0, 2, 3))


class NoOnnx(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(image)


class PreNorm(nn.Module):
    """Batch normalisation that has no layer before it."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.norm.running_mean.fill_(0.5)

    def forward(self, image: Tensor) -> Tensor:
        return self.norm(image).mean((2, 3))


def strings(proto: object) -> list[object]:
    """Every non-empty doc_string and metadata_props anywhere in the file."""
    found = []
    for field, value in proto.ListFields():
        if field.name in ("doc_string", "metadata_props"):
            found.append(value)
        elif field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                found += strings(part)
    return found


def test_names_shapes_and_opset(exported: Path) -> None:
    proto = onnx.load(exported)
    onnx.checker.check_model(proto, full_check=True)
    sides = [
        [(v.name, [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]) for v in side]
        for side in (proto.graph.input, proto.graph.output)
    ]
    assert sides == [[("image", ["batch", 3, 8, 8])], [("logits", ["batch", 4])]]
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", OPSET)]
    assert {"stem.weight", "chain.1.weight", "head.weight"} <= {i.name for i in proto.graph.initializer}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_answers_in_eval_mode_for_any_batch(exported: Path, count: int) -> None:
    (answer,) = session(exported, threads=1).run(None, {"image": images(count).numpy()})
    expected = small().eval()(images(count)).detach().numpy()
    # 8 * 9 products a layer and folded scales up to 1.5 / sqrt(0.5), four layers deep: about 1e-6
    np.testing.assert_allclose(answer, expected, rtol=0, atol=5e-6)


def test_batch_normalisation_is_folded(exported: Path) -> None:
    kinds = [node.op_type for node in onnx.load(exported).graph.node]
    assert "BatchNormalization" not in kinds
    assert "Dropout" not in kinds
    assert kinds.count("Conv") == 4


def test_batch_normalisation_without_a_layer_before_it_is_kept(tmp_path: Path) -> None:
    path = export_onnx(PreNorm(), tmp_path / "a.onnx", SHAPE)
    (answer,) = session(path, threads=1).run(None, {"image": images(3).numpy()})
    np.testing.assert_allclose(answer, PreNorm().eval()(images(3)).detach().numpy(), rtol=0, atol=1e-6)


def test_holds_nothing_of_this_machine(exported: Path) -> None:
    data = exported.read_bytes()
    places = {
        str(Path.cwd()),
        str(Path.home()),
        sysconfig.get_path("purelib"),
        str(Path(tenfold.__path__[0])),
    }
    for trace in (*places, ".py", "site-packages", "stack_trace", "torch.nn"):
        assert trace.encode() not in data, trace
    assert strings(onnx.load(exported)) == []


def test_strip_reaches_every_level() -> None:
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["a"], ["b"], doc_string="x")], "inner", [], []
    )
    node = onnx.helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner, doc_string="x")
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [2.0])
    value = onnx.helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [1], doc_string="x")
    graph = onnx.helper.make_graph([node], "outer", [value], [], [weight], doc_string="x", value_info=[value])
    function = onnx.helper.make_function("own", "f", ["a"], ["b"], [inner.node[0]], [], doc_string="x")
    proto = onnx.helper.make_model(graph, functions=[function], doc_string="x")
    for part in (proto, proto.graph, proto.graph.node[0], proto.graph.initializer[0], proto.functions[0]):
        part.metadata_props.add(key="file", value="/a.py")
    onnx_module.strip(proto)
    assert strings(proto) == []
    assert not proto.graph.value_info
    assert proto.graph.initializer[0].float_data == [2.0]


def test_what_no_runtime_needs_changes_no_answer(exported: Path, tmp_path: Path) -> None:
    before = onnx.load(exported)
    unused = onnx.helper.make_tensor("nobody asks", onnx.TensorProto.FLOAT, [1], [1.0])
    before.graph.initializer.append(unused)
    onnx.save(before, tmp_path / "short.onnx")
    made = compact(tmp_path / "short.onnx")
    after = onnx.load(made)
    onnx.checker.check_model(after, full_check=True)
    inside = {name for node in after.graph.node for name in (*node.input, *node.output)} - {"image", "logits"}
    assert all(len(name) <= 2 for name in inside)
    assert not any(node.name for node in after.graph.node)
    convolutions = [{a.name for a in node.attribute} for node in after.graph.node if node.op_type == "Conv"]
    assert sorted(map(sorted, convolutions)) == [[], [], [], ["group", "pads"]]
    assert len(after.graph.initializer) == len(before.graph.initializer) - 1
    given = {"image": images(3).numpy()}
    old, new = (session(path, threads=1).run(None, given)[0] for path in (exported, made))
    assert np.array_equal(old, new)


def test_names_stay_where_a_node_holds_a_graph(by_hand) -> None:
    inner = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["twice"], ["same"])],
        "inner",
        [],
        [onnx.helper.make_tensor_value_info("same", onnx.TensorProto.FLOAT, None)],
    )
    always = onnx.helper.make_tensor("always", onnx.TensorProto.BOOL, [], [True])
    path = by_hand(
        onnx.helper.make_node("Add", ["image", "image"], ["twice"]),
        onnx.helper.make_node("Constant", [], ["yes"], value=always),
        onnx.helper.make_node("If", ["yes"], ["logits"], then_branch=inner, else_branch=inner),
    )
    before = path.read_bytes()
    assert compact(path).read_bytes() == before


def test_same_bytes_twice(exported: Path, tmp_path: Path) -> None:
    assert export_onnx(small(), tmp_path / "again.onnx", SHAPE).read_bytes() == exported.read_bytes()


@pytest.mark.slow
def test_same_bytes_in_another_process_that_stays_silent(exported: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from deploy.networks import SHAPE, small; from tenfold.deploy.onnx import export_onnx\n"
        "export_onnx(small(), sys.argv[1], SHAPE)"
    )
    again = tmp_path / "again.onnx"
    paths = os.pathsep.join([str(Path(tenfold.__path__[0]).parent), str(TESTS)])
    env = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "77"}
    call = [sys.executable, "-c", script, str(again)]
    done = subprocess.run(
        call, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert again.read_bytes() == exported.read_bytes()
    assert list(tmp_path.iterdir()) == [again]


def test_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = small()
    model.train()
    model.norm2.eval()
    flags = {name: module.training for name, module in model.named_modules()}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_onnx(model, tmp_path / "a.onnx", SHAPE)
    with pytest.raises(ExportError):
        export_onnx(model, tmp_path / "b.onnx", (4, 8, 8))
    assert {name: module.training for name, module in model.named_modules()} == flags
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_several_outputs_and_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = Several()
    runtime = session(export_onnx(model, tmp_path / "a.onnx", SHAPE), threads=1)
    assert capsys.readouterr() == ("", "")
    assert [output.name for output in runtime.get_outputs()] == ["output_0", "output_1", "output_2"]
    met = runtime.run(None, {"image": images(3).numpy()})
    answer = model(images(3))
    for got, expected in zip(met, (answer["a"], *answer["rest"]), strict=True):
        np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d(4, 2, 1), r"RuntimeError: Given groups=1"),
        (FixedBatch(), "fixed batch"),
        (BatchMean(), "fixed batch"),
        (NoOnnx(), "linalg_eigh"),
        (nn.Conv2d(3, 2, 1).half(), r"torch.float16: call .float\(\)"),
    ],
    ids=["channels", "fixed", "mean", "operation", "half"],
)
def test_refuses_and_leaves_the_old_file(
    tmp_path: Path, model: nn.Module, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.onnx"
    path.write_text("old")
    with pytest.raises(ExportError, match=message) as caught:
        export_onnx(model, path, SHAPE)
    assert "\n" not in str(caught.value)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.onnx", "old")]
    assert capfd.readouterr() == ("", "")


def test_refuses_what_one_file_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_module, "_LARGEST_BYTES", 55)
    with pytest.raises(ExportError, match="56 bytes, the most is 55"):
        export_onnx(nn.Linear(6, 2), tmp_path / "a", SHAPE)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        export_onnx(nn.Flatten(), tmp_path / "none" / "a.onnx", SHAPE)
