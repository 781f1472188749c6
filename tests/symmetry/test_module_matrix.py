"""Real modules through files: canonicalised and moved checkpoints load into the same class and compute the same."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfn_cli.checkpoints import rewrite_checkpoint
from nfn_cli.symmetry import (
    GroupElement,
    NormalFormSettings,
    align,
    load_element,
    normal_form,
    read_source,
    sample_element,
    save_element,
    transformed,
)


class Sine(nn.Module):
    """A SIREN's layer."""

    def __init__(self, inputs: int, outputs: int, *, last: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.last = last

    def forward(self, values: Tensor) -> Tensor:
        return self.linear(values) if self.last else torch.sin(30 * self.linear(values))


class Siren(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(Sine(2, 16), Sine(16, 16), Sine(16, 1, last=True))
        with torch.no_grad():
            for position, layer in enumerate(self.net):
                bound = 1 / 2 if position == 0 else (6 / 16) ** 0.5 / 30
                layer.linear.weight.uniform_(-bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        return self.net(values)


class LeNet(nn.Module):
    """LeNet-5 with its classic names."""

    def __init__(self, activation: Callable[[], nn.Module], pool: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.act, self.pool = activation(), pool(2)

    def forward(self, values: Tensor) -> Tensor:
        values = self.pool(self.act(self.conv2(self.pool(self.act(self.conv1(values))))))
        return self.fc3(self.act(self.fc2(self.act(self.fc1(values.flatten(1))))))


class ConvLeNet(nn.Module):
    """LeNet-5 with a convolution in place of its first linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 120, 5), nn.ReLU(),
        )  # fmt: skip
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))

    def forward(self, values: Tensor) -> Tensor:
        return self.classifier(self.features(values))


def batch_norm_mlp(affine: bool = True) -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 20), nn.BatchNorm1d(20, affine=affine), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(20, 15, bias=False), nn.BatchNorm1d(15, affine=affine), nn.ReLU(), nn.Linear(15, 4),
    )  # fmt: skip


def batch_norm_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.BatchNorm2d(8), nn.LeakyReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3), nn.BatchNorm2d(12), nn.LeakyReLU(), nn.Flatten(), nn.Linear(12 * 25, 5),
    )  # fmt: skip


def conv1d_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 8, 5, stride=2), nn.Tanh(), nn.AvgPool1d(2), nn.Conv1d(8, 6, 3), nn.Tanh(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip


def conv3d_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 4, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3)
    )


def max_pooled_tanh() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 5, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Conv2d(5, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 3)
    )


def plain_mlp(activation: Callable[[], nn.Module], bias: bool = True) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(
        nn.Linear(6, 16, bias=bias), activation(), nn.Linear(16, 16, bias=bias), activation(),
        nn.Linear(16, 2, bias=bias),
    )  # fmt: skip


@dataclass(frozen=True)
class Case:
    make: Callable[[], nn.Module]
    inputs: tuple[int, ...]
    activation: str
    pool: str | None = None


CASES = {
    "lenet relu max": Case(lambda: LeNet(nn.ReLU, nn.MaxPool2d), (1, 28, 28), "relu"),
    "lenet tanh avg": Case(lambda: LeNet(nn.Tanh, nn.AvgPool2d), (1, 28, 28), "tanh", "avg"),
    "lenet conv": Case(ConvLeNet, (1, 28, 28), "relu"),
    "mlp relu": Case(plain_mlp(nn.ReLU), (6,), "relu"),
    "mlp tanh": Case(plain_mlp(nn.Tanh), (6,), "tanh"),
    "mlp gelu": Case(plain_mlp(nn.GELU), (6,), "gelu"),
    "mlp linear": Case(plain_mlp(nn.Identity), (6,), "identity"),
    "mlp without bias": Case(plain_mlp(nn.ReLU, bias=False), (6,), "relu"),
    "mlp batchnorm": Case(batch_norm_mlp, (8,), "relu"),
    "mlp batchnorm not affine": Case(lambda: batch_norm_mlp(affine=False), (8,), "relu"),
    "cnn batchnorm strided": Case(batch_norm_cnn, (3, 30, 30), "leaky_relu"),
    "conv1d": Case(conv1d_net, (2, 40), "tanh", "avg"),
    "conv3d": Case(conv3d_net, (1, 8, 8, 8), "relu"),
    "max-pooled tanh": Case(max_pooled_tanh, (1, 14, 14), "tanh", "max"),
    "siren": Case(Siren, (2,), "sin"),
}
# How far outputs may move, relative to their largest, and weights, relative to the largest of their tensor.
OUTPUTS = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 2e-2, torch.bfloat16: 2e-1}
WEIGHTS = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@dataclass(frozen=True)
class Network:
    """A case in a file."""

    case: Case
    module: nn.Module
    path: Path

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    def outputs(self, path: Path) -> Tensor:
        """What the module class computes in float64 with the weights of a file, in evaluation."""
        module = copy.deepcopy(self.module)
        module.load_state_dict(load(path), strict=True)
        inputs = torch.rand(16, *self.case.inputs, generator=torch.Generator().manual_seed(5)) * 2 - 1
        with torch.no_grad():
            return module.double().eval()(inputs.double())

    def rewritten(self, element_of: Callable[..., GroupElement], out: Path, source: Path | None = None) -> Path:
        read = read_source(source or self.path, activation=self.case.activation, pool=self.case.pool)
        moved = transformed(read, element_of(read))
        rewrite_checkpoint(read.checkpoint, moved, out, overwrite=True)
        return out


def load(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, weights_only=True)["state_dict"]


def train(module: nn.Module, inputs: tuple[int, ...]) -> None:
    """A few steps on noise: BatchNorm gets statistics, weights lose their initial regularity."""
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    for _ in range(5):
        outputs = module(torch.randn(16, *inputs))
        optimizer.zero_grad()
        (outputs - torch.randn_like(outputs)).square().mean().backward()
        optimizer.step()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(params=[torch.float64, torch.float32, torch.float16], ids=["float64", "float32", "float16"])
def network(request: pytest.FixtureRequest, case: Case, tmp_path: Path) -> Network:
    torch.manual_seed(3)
    module = case.make()
    train(module, case.inputs)
    module = module.to(request.param)
    if request.param is torch.float32:  # one dtype goes through nested PyTorch files
        path = tmp_path / "network.pt"
        torch.save({"state_dict": module.state_dict(), "epoch": 3}, path)
    else:
        path = tmp_path / "network.safetensors"
        save_file(module.state_dict(), path, metadata={"note": "kept"})
    return Network(case, module, path)


def output_deviation(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


def weight_deviation(found: Path, expected: Path) -> float:
    theirs = load(found)
    return max(
        ((theirs[name].double() - tensor.double()).abs().max() / tensor.double().abs().max().clamp_min(1e-300)).item()
        for name, tensor in load(expected).items()
        if tensor.is_floating_point()
    )


def normal(scale: str) -> Callable[..., GroupElement]:
    def element(source) -> GroupElement:  # type: ignore[no-untyped-def]
        settings = NormalFormSettings(scale)  # type: ignore[arg-type]
        return normal_form(source.network.weights, settings, precision=source.precision).element

    return element


def random(seed: int, top: float) -> Callable[..., GroupElement]:
    def element(source) -> GroupElement:  # type: ignore[no-untyped-def]
        generator = torch.Generator().manual_seed(seed)
        return sample_element(source.stored, generator, scale_range=(1 / top, top), phase=True)

    return element


@pytest.mark.parametrize("scale", ["unit", "balanced", "none"])
def test_the_normal_form_loads_into_the_same_class_and_computes_the_same(
    network: Network, scale: str, tmp_path: Path
) -> None:
    out = network.rewritten(normal(scale), tmp_path / f"normal{network.path.suffix}")
    deviation = output_deviation(network.outputs(out), network.outputs(network.path))
    assert deviation < OUTPUTS[network.dtype]


@pytest.mark.parametrize("scale", ["unit", "balanced"])
def test_the_normal_form_is_one_for_the_orbit_and_stays(network: Network, scale: str, tmp_path: Path) -> None:
    suffix = network.path.suffix
    once = network.rewritten(normal(scale), tmp_path / f"once{suffix}")
    again = network.rewritten(normal(scale), tmp_path / f"again{suffix}", once)
    if network.dtype is torch.float64:
        assert weight_deviation(again, once) == 0
    if network.dtype is torch.float16:  # rounded to three digits, other neurons become neighbours
        return
    for seed in range(3):
        moved = network.rewritten(random(seed, 1e4), tmp_path / f"moved{suffix}")
        other = network.rewritten(normal(scale), tmp_path / f"other{suffix}", moved)
        assert weight_deviation(moved, network.path) > 0.1
        assert weight_deviation(other, once) < WEIGHTS[network.dtype]


def test_a_random_element_keeps_the_function_and_its_inverse_restores_the_file(
    network: Network, tmp_path: Path
) -> None:
    suffix = network.path.suffix
    drawn: list[GroupElement] = []

    def forth(source) -> GroupElement:  # type: ignore[no-untyped-def]
        drawn.append(random(2, 2.0)(source))
        save_element(tmp_path / "g.safetensors", drawn[0], source.stored)
        return drawn[0]

    def back(source) -> GroupElement:  # type: ignore[no-untyped-def]
        return load_element(tmp_path / "g.safetensors", source.stored).inverse()

    moved = network.rewritten(forth, tmp_path / f"moved{suffix}")
    assert output_deviation(network.outputs(moved), network.outputs(network.path)) < OUTPUTS[network.dtype]
    restored = network.rewritten(back, tmp_path / f"restored{suffix}", moved)
    assert weight_deviation(restored, network.path) < WEIGHTS[network.dtype]


def test_verifying_recovers_the_element_that_was_applied(network: Network, tmp_path: Path) -> None:
    drawn: list[GroupElement] = []

    def forth(source) -> GroupElement:  # type: ignore[no-untyped-def]
        drawn.append(random(4, 10.0)(source))
        return drawn[0]

    moved = network.rewritten(forth, tmp_path / f"moved{network.path.suffix}")
    before, after = (
        read_source(path, activation=network.case.activation, pool=network.case.pool) for path in (network.path, moved)
    )
    found = align(before.network.weights, after.network.weights, precision=before.precision)
    assert found.same_orbit
    for ours, theirs in zip(found.element.permutations, drawn[0].permutations, strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(found.element.factors, drawn[0].factors, strict=True):
        assert torch.allclose(ours, theirs, rtol=WEIGHTS[network.dtype])
    for ours, theirs in zip(found.element.half_turns, drawn[0].half_turns, strict=True):
        # A half-turn and a sign flip may stand for one another where a bias is next to zero.
        assert network.dtype is torch.float16 or torch.equal(ours, theirs)


def test_only_what_the_group_moves_changes_in_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = batch_norm_mlp()
    train(module, (8,))
    optimizer = torch.optim.Adam(module.parameters())
    wrapped = {f"module.{name}": tensor for name, tensor in module.state_dict().items()}
    path = tmp_path / "last.ckpt"
    torch.save({"epoch": 7, "state_dict": wrapped, "optimizer": optimizer.state_dict(), "lr": [0.1]}, path)
    network = Network(CASES["mlp batchnorm"], module, path)
    network.rewritten(random(0, 3.0), tmp_path / "out.ckpt")
    before, after = (torch.load(file, weights_only=True) for file in (path, tmp_path / "out.ckpt"))
    assert (after["epoch"], after["lr"], list(after)) == (7, [0.1], list(before))
    assert list(after["state_dict"]) == list(before["state_dict"])
    for name, tensor in before["state_dict"].items():
        assert after["state_dict"][name].dtype == tensor.dtype
    moved = after["state_dict"]["module.1.running_mean"]
    assert not torch.equal(moved, before["state_dict"]["module.1.running_mean"])
    assert torch.equal(moved.sort().values, before["state_dict"]["module.1.running_mean"].sort().values)
