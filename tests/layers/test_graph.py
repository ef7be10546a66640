from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils import parametrizations
from torch.utils._pytree import tree_leaves

from layers.sample_nets import Many, ResNet, Tied, vgg
from tenfold.core.errors import RunError, UnsupportedLayerError
from tenfold.layers.census import census
from tenfold.layers.chain import is_chain
from tenfold.layers.graph import describe_graph, rebuild


def twin_of(net: nn.Module) -> nn.Module:
    """The network, by way of a JSON text, with its state dict loaded strictly."""
    text = json.dumps(describe_graph(net), allow_nan=False)
    twin = rebuild(json.loads(text))
    twin.load_state_dict(copy.deepcopy(net.state_dict()))
    return twin


def answers(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return tree_leaves(net(x.clone()))


def check_equal(net: nn.Module, twin: nn.Module, x: torch.Tensor) -> None:
    """Same bits in both modes, in the gradient, and in the running statistics afterwards."""
    for training in (False, True):
        first, second = (answers(m.train(training), x) for m in (net, twin))
        assert len(first) == len(second)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(first, second, strict=True))
    for outputs in (first, second) if any(p.requires_grad for p in net.parameters()) else ():
        sum(y.sum() for y in outputs).backward()
    mine, theirs = dict(net.named_parameters()), dict(twin.named_parameters())
    for name, parameter in mine.items():
        if parameter.grad is None:
            assert theirs[name].grad is None
        else:
            assert torch.equal(parameter.grad, theirs[name].grad), name
    assert all(torch.equal(v, twin.state_dict()[k]) for k, v in net.state_dict().items())


class Functional(nn.Module):
    """Everything that is told the mode by hand."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("var", torch.ones(3))
        self.weights = nn.ParameterList([nn.Parameter(torch.randn(3, 3, 1, 1)), nn.Parameter(torch.randn(3))])

    def forward(self, x):
        x = F.batch_norm(x, self.mean, self.var, training=self.training)
        x = F.conv2d(x, self.weights[0], self.weights[1])
        return F.dropout(x, 0.5, self.training), F.max_pool2d(x, 2).view(x.size(0), -1)


class Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.plain = torch.tensor([0.5, float("-inf"), 2.0]).reshape(3, 1, 1)
        self.inner = nn.Module()
        self.inner.register_buffer("index", torch.tensor([2, 0, 1]), persistent=False)

    def forward(self, x):
        keep = torch.tensor([True, False, True]).reshape(3, 1, 1)
        y = torch.where(keep, x, self.plain) + torch.arange(3).reshape(3, 1, 1)
        return y[:, self.inner.index], y.sum(dim=(1, 2, 3), dtype=torch.float64)


class Alias(nn.Module):
    """`+=` on a tensor another name still needs: it is changed for both."""

    def forward(self, x):
        y = x * 1
        z = y
        y += 1
        return z * y


NETS = {
    "resnet": lambda: ResNet(2, 4),
    "vgg": vgg,
    "many": Many,
    "tied": Tied,
    "functional": Functional,
    "constants": Constants,
    "alias": Alias,
    "one layer": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "double": lambda: ResNet(1, 4).double(),
}


@pytest.fixture(params=NETS)
def net(request) -> nn.Module:
    torch.manual_seed(1)
    return NETS[request.param]()


def example(net: nn.Module) -> torch.Tensor:
    dtype = next((p.dtype for p in net.parameters()), torch.float32)
    return torch.randn(4, 4 if isinstance(net, Tied) else 3, 12, 16, dtype=dtype)


def test_rebuilt_behaves_as_the_original(net):
    twin = twin_of(net)
    assert not twin.training
    check_equal(net, twin, example(net))


def test_describing_a_rebuilt_network_gives_an_equal_one(net):
    x = example(net)
    check_equal(net, twin_of(twin_of(net)), x)


def test_the_original_is_not_changed(net):
    before = {name: dict(vars(m)) for name, m in net.named_modules()}
    state = {k: v.clone() for k, v in net.state_dict().items()}
    describe_graph(net)
    after = {name: dict(vars(m)) for name, m in net.named_modules()}
    assert after.keys() == before.keys()
    assert all(after[n].keys() == before[n].keys() for n in before)
    assert all(after[n]["training"] == before[n]["training"] for n in before)
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_copies_and_exports(net):
    twin = twin_of(net)
    x = example(net)
    double = copy.deepcopy(twin)
    assert list(double.state_dict()) == list(twin.state_dict())
    double.load_state_dict(twin.state_dict())
    expected = answers(twin, x)
    exported = torch.export.export(twin, (x,)).module()
    for other in (double, fx.symbolic_trace(twin), exported):
        for a, b in zip(answers(other, x), expected, strict=True):
            torch.testing.assert_close(a, b)
    assert all(p is not q for p, q in zip(double.parameters(), twin.parameters(), strict=True))


def test_names_shapes_order_and_layers_are_kept(net):
    twin = twin_of(net)
    assert twin.state_dict().keys() == net.state_dict().keys()
    first, second = (list(m.named_parameters()) for m in (net, twin))
    assert sorted(n for n, _ in first) == sorted(n for n, _ in second)
    if isinstance(net, ResNet | Many | Tied):
        x = example(net)
        assert census(net, x) == census(twin, x)


def test_a_chain_stays_a_chain():
    assert is_chain(Many().chain)
    assert [type(m) for m in twin_of(Many()).chain.children()] == [nn.Conv2d, nn.Conv2d]


def test_what_is_shared_stays_shared():
    net = Tied()
    twin = twin_of(net)
    assert twin.first is twin.alias
    assert twin.one.conv1 is twin.two.conv1
    assert twin.encode.weight is twin.decode.weight
    assert sum(p.numel() for p in twin.parameters()) == sum(p.numel() for p in net.parameters())
    double = copy.deepcopy(twin)
    assert double.first is double.alias
    assert double.encode.weight is double.decode.weight


def test_frozen_parameters_stay_frozen():
    net = ResNet(1, 4)
    net.conv1.weight.requires_grad_(False)
    twin = twin_of(net)
    assert [n for n, p in twin.named_parameters() if not p.requires_grad] == ["conv1.weight"]


def test_half_precision_stays():
    assert {p.dtype for p in twin_of(vgg().bfloat16()).parameters()} == {torch.bfloat16}


def test_device_meta_allocates_nothing():
    assert all(t.is_meta for t in rebuild(describe_graph(ResNet(1, 4)), device="meta").state_dict().values())


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class ModeBranch(nn.Module):
    def forward(self, x):
        return [x, x + 1] if self.training else x


class ModeNumber(nn.Module):
    def forward(self, x):
        return x * (0.5 if self.training else 1.0)


class ModeType(nn.Module):
    def forward(self, x):
        return x.long() * (1 if self.training else 1.0)


class Inverted(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5, not self.training)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn(3, 1, 1)


class Foreign(nn.Module):
    def forward(self, x):
        return foreign(x)


def foreign(x):
    return x + 1


fx.wrap("foreign")


class NoInput(nn.Module):
    def forward(self, x=None):
        return x


class Keyword(nn.Module):
    def forward(self, x, *, y):
        return x + y


class Big(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.zeros(300, 300), persistent=False)

    def forward(self, x):
        return x + self.table


class Clash(nn.Module):
    def __init__(self):
        super().__init__()
        self.code = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.code(x)


class Extra(nn.Module):
    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass

    def forward(self, x):
        return x + 1


def hooked() -> nn.Module:
    net = ResNet(1, 4)
    net.layer1.register_forward_hook(lambda _m, _a, y: y * 2)
    return net


UNSUPPORTED = {
    "torch.fx cannot trace its forward (symbolically traced variables cannot be used as inputs": Branch,
    "runs other code in training mode": ModeBranch,
    "uses 0.5 in training and 1.0 in evaluation mode": ModeNumber,
    "uses 1 in training and 1.0 in evaluation mode": ModeType,
    "uses False in training and True in evaluation mode": Inverted,
    "changes from one call to the next": Noise,
    ".foreign is none of torch's own": Foreign,
    "no argument without a default": NoInput,
    "keyword-only argument 'y'": Keyword,
    "table, 90,000 numbers": Big,
    "'code' is a name that torch.fx needs": Clash,
    "part of its state dict would be lost": Extra,
    "forward hooks hang on layer1": hooked,
    "1: ParametrizedLinear": lambda: nn.Sequential(nn.ReLU(), parametrizations.weight_norm(nn.Linear(3, 3))),
    "0: LSTM": lambda: nn.Sequential(nn.LSTM(3, 3)),
}


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_what_cannot_be_described_says_why(message):
    with pytest.raises(UnsupportedLayerError) as caught:
        describe_graph(UNSUPPORTED[message]())
    assert message in str(caught.value)
    assert "passing the original module" in str(caught.value)


def attack(**node: object) -> dict:
    """A description in which one more node stands before the output."""
    description = describe_graph(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    row = {"name": "evil", "op": "call_function", "target": "torch.relu", "args": [], "kwargs": {}, **node}
    description["nodes"].insert(-1, row)
    return description


MARK = Path("tenfold-was-here")
CODE = f"open({str(MARK)!r}, 'w')"
X = {"node": "input_1"}
ATTACKS = {
    "os.system": attack(target="os.system", args=[f"touch {MARK}"]),
    "torch.load": attack(target="torch.load", args=["x.pt"]),
    "torch.hub.load": attack(target="torch.hub.load", args=["a/b", "c"]),
    "eval": attack(target="eval", args=[CODE]),
    "attrgetter": attack(target="operator.attrgetter", args=["__class__.__base__"]),
    "class": attack(target="getattr", args=[X, "__class__"]),
    "getattr with keyword": attack(target="getattr", args=[X, "shape"], kwargs={"default": 1}),
    "method": attack(op="call_method", target="__reduce_ex__", args=[X, 2]),
    "method of a string": attack(op="call_method", target="view", args=["{0.__class__}", X]),
    "method without self": attack(op="call_method", target="view"),
    "module attribute": attack(op="get_attr", target="0.__class__"),
    "module as tensor": attack(op="get_attr", target="0"),
    "training under another name": attack(op="get_attr", target="training"),
    "unknown module": attack(op="call_module", target="_modules", args=[X]),
    "root as module": attack(op="call_module", target="", args=[X]),
    "source in a name": attack(name=f"a={CODE}", args=[X]),
    "node that hides the network": attack(name="self", args=[X]),
    "source in a keyword": attack(args=[X], kwargs={f"a={CODE}, b": 1}),
    "source in an input": attack(op="placeholder", target=f"y={CODE}"),
    "keyword as a name": attack(op="placeholder", target="import"),
    "input with source as default": attack(op="placeholder", target="y", args=[{"unknown": CODE}]),
    "unknown operation": attack(op="call_anything"),
    "two outputs": attack(op="output", target="output", args=[X]),
    "later node": attack(args=[{"node": "output"}]),
    "missing key": {"format": "tenfold-graph-1"},
    "other format": {"format": "tenfold-graph-0"},
    "nothing": {},
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_and_nothing_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda _command: MARK.touch())
    with pytest.raises(RunError):
        rebuild(json.loads(json.dumps(ATTACKS[name])))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("part", "name", "entry"),
    [
        ("modules", "a", {"class": "DataParallel", "args": {}}),
        ("modules", "a", {"class": "Linear", "args": {"in_features": "x", "out_features": 3}}),
        ("modules", 'a"]; import os; x["', {"class": "ReLU", "args": {}}),
        ("modules", "forward", {"class": "ReLU", "args": {}}),
        ("modules", "graph", {"class": "ReLU", "args": {}}),
        ("modules", "a", {"same_as": "nowhere"}),
        ("tensors", "a b", {"kind": "buffer", "shape": [1], "dtype": "float32"}),
        ("tensors", "a", {"kind": "buffer", "shape": [-1], "dtype": "float32"}),
        ("tensors", "a", {"kind": "buffer", "shape": [2**50], "dtype": "float32"}),
        ("tensors", "a", {"kind": "buffer", "shape": [1], "dtype": "load"}),
        ("constants", "a", {"shape": [2], "dtype": "float32", "values": [1.0]}),
        ("ties", "0.weight", "nowhere.weight"),
        ("ties", "training", "0.weight"),
    ],
)
def test_broken_tables_are_refused(part, name, entry):
    description = describe_graph(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    description[part][name] = entry
    with pytest.raises(RunError):
        rebuild(description)


def test_an_honest_extra_node_is_accepted():
    assert rebuild(attack(args=[X])), "or the attacks above prove nothing"
