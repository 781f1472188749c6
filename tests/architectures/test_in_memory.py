"""Networks in memory: what a module's graph proves, and weights with shapes that are checked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.architectures.in_memory import in_memory
from nfn_cli.errors import ArchitectureError, CheckpointError, NfnError, UsageError


class OutOfOrder(nn.Module):
    """Layers that are defined in another order than they are used in, with sines of two frequencies."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.inner = nn.Linear(8, 3), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.sin(30 * self.first(x))
        return self.last(torch.sin(2 * self.inner(x)))


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        return self.last(x + F.relu(self.inner(x)))  # type: ignore[no-any-return]


def between(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), *modules, nn.Linear(8, 3))


def test_a_graph_tells_order_activation_and_frequencies() -> None:
    point = NetworkWeights.from_module(OutOfOrder())
    assert [layer.name for layer in point.architecture.layers] == ["first", "inner", "last"]
    assert (point.architecture.activation, point.architecture.omegas) == ("sin", (30.0, 2.0))


def test_convolutions_tell_pooling_flattening_and_the_norm_that_is_folded() -> None:
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, 3), nn.Tanh(), nn.Flatten(), nn.Linear(5 * 25, 2)),
    )
    found = in_memory(net, inputs=torch.zeros(2, 1, 16, 16))
    assert found.chain is not None
    assert (found.chain.pool, found.chain.norms, found.stated.activation) == ("max", {"0": "1"}, "tanh")
    assert NetworkWeights.from_module(net, inputs=torch.zeros(2, 1, 16, 16)).architecture.layers[-1].spatial == 25


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Skip(), "go to 2 places"),
        (between(nn.ReLU(), nn.Linear(8, 8), nn.Tanh()), "several activations"),
        (between(nn.ReLU(), nn.LayerNorm(8)), "stands between two layers"),
        (between(nn.ReLU(), nn.BatchNorm1d(8)), "stands between two layers"),
        (between(nn.Identity()), "no activation stands before"),
        (between(nn.ELU(alpha=2.0)), "has alpha 2"),
        (nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.ReLU(), nn.Conv2d(4, 2, 3)), "several groups"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_plain_chain_says_why(module: nn.Module, why: str) -> None:
    with pytest.raises(ArchitectureError, match=why):
        NetworkWeights.from_module(module)


def test_the_module_is_neither_changed_nor_set_to_evaluate() -> None:
    net = between(nn.ReLU(), nn.Dropout())
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    NetworkWeights.from_module(net)
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_what_is_told_must_be_what_the_module_has() -> None:
    from nfn_cli.architectures import Stated

    with pytest.raises(UsageError, match="gelu is given, but Sequential has relu"):
        in_memory(between(nn.ReLU()), Stated(activation="gelu"))


MLP = chain([Layer("0", "linear", 2, 8), Layer("2", "linear", 8, 3)], activation="relu")


def tensors(**others: Tensor) -> OrderedDict[str, Tensor]:
    found = OrderedDict((spec.name, torch.randn(spec.shape)) for spec in MLP.tensors)
    found.update({name.replace("_", "."): tensor for name, tensor in others.items()})
    return found


def test_a_state_dict_is_read_with_its_activation_told() -> None:
    point = NetworkWeights.from_state_dict(tensors(), activation="relu")
    assert point.architecture.describe() == MLP.describe()
    assert torch.equal(
        NetworkWeights.from_state_dict(tensors(), architecture=MLP).tensors["0.bias"][:0], torch.empty(0)
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: NetworkWeights(MLP, tensors(_0=torch.ones(1)) | {"2.weight": torch.ones(3, 9)}), ArchitectureError,
         r"2.weight: its shape is \[3, 9\], not \[3, 8\]"),
        (lambda: NetworkWeights(MLP, {"0.weight": torch.ones(8, 2)}), ArchitectureError, r"0.bias: missing among"),
        (lambda: NetworkWeights(MLP, tensors() | {"2.bias": torch.ones(5, 3)}), ArchitectureError,
         r"2.bias: its batch axes are \[5\], those of 0.weight \[\]"),
        (lambda: NetworkWeights.from_state_dict(tensors()), ArchitectureError, "tell it, such as activation='relu'"),
        (lambda: NetworkWeights.from_state_dict({"state_dict": tensors()}), UsageError,  # type: ignore[dict-item]
         "its entry 'state_dict'"),
        (lambda: NetworkWeights.from_state_dict({}), UsageError, "the dict is empty"),
        (lambda: NetworkWeights.from_state_dict(tensors() | {"0.bias": torch.full((8,), torch.nan)}, activation="relu"),
         CheckpointError, "8 NaN of 8"),
    ],
)  # fmt: skip
def test_errors_speak(make: Callable[[], object], error: type[NfnError], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_no_sidecar_is_read_for_what_is_no_file(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "nfn.yaml").write_text("activation: tanh\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArchitectureError, match="nothing tells its activation"):
        NetworkWeights.from_state_dict(tensors())
