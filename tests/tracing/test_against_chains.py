"""A chain that is read from names and shapes has the group that its module is traced to have.

Behind a BatchNorm the traced group is larger: in evaluation each channel's layer before it may be scaled beside (the
variance with it), which no chain says. There the chain's group has to lie in the traced one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from labelled_reference import order
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry import read_source
from nfn_cli.symmetry.labelled import act, bounded, label_chain, sample

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def mlp(activation: nn.Module, *norms: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), *norms, activation, nn.Linear(4, 5), activation, nn.Linear(5, 2))


def cnn(activation: nn.Module, pool: type[nn.Module], *norms: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), *norms, activation, nn.Conv2d(4, 3, 2), activation, pool(2), nn.Flatten(),
        nn.Linear(12, 4), activation, nn.Linear(4, 2),
    )  # fmt: skip


VECTORS, IMAGES = (torch.randn(6, 3),), (torch.randn(4, 2, 7, 7),)


def both(
    module: nn.Module, inputs: tuple[Tensor, ...], activation: str, pool: str, path: Path
) -> tuple[LabelledArchitecture, LabelledArchitecture, nn.Module]:
    """The read chain's labels, the traced ones, and the module in float64 with weights of its own."""
    torch.manual_seed(0)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) + 0.5 if name.endswith("var") else torch.randn_like(tensor))
    save_file(module.state_dict(), path / "m.safetensors")
    source = read_source(path / "m.safetensors", activation=activation, pool=pool)
    inputs = tuple(each.double() for each in inputs)
    return label_chain(source.stored), trace(export(module, inputs)), module


def change(module: nn.Module, inputs: tuple[Tensor, ...], architecture: LabelledArchitecture, seed: int) -> float:
    """How far a random element moves the outputs."""
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    inputs = tuple(each.double() for each in inputs)
    drawn = sample(architecture, torch.Generator().manual_seed(seed), scale_range=(0.5, 2.0))
    after = act(bounded(drawn, architecture, state), architecture, state)
    found = torch.func.functional_call(module, {**state, **after}, inputs)
    expected = module(*inputs)
    return float((found - expected).abs().max() / expected.abs().max())


def sizes(architecture: LabelledArchitecture) -> tuple[int, int, int]:
    return order(architecture), architecture.logs.free, architecture.signs.free


@pytest.mark.parametrize("kind", ["mlp", "max", "avg"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_groups_are_one(activation: str, kind: str, tmp_path: Path) -> None:
    own = ACTIVATIONS[activation]()
    pools = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}
    module = mlp(own) if kind == "mlp" else cnn(own, pools[kind])
    inputs = VECTORS if kind == "mlp" else IMAGES
    chain, traced, module = both(module, inputs, activation, "none" if kind == "mlp" else kind, tmp_path)
    if kind == "max" and activation in ("tanh", "identity"):
        # Only one of the hidden layers is pooled; a chain has one rule for all.
        assert (sizes(chain)[0], sizes(chain)[1]) == (sizes(traced)[0], sizes(traced)[1])
        assert sizes(chain)[2] <= sizes(traced)[2]
    else:
        assert sizes(chain) == sizes(traced)
    for seed in range(2):
        assert change(module, inputs, chain, seed) < 1e-12
        assert change(module, inputs, traced, seed) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.PReLU])
def test_other_stages(activation: str, norm: type[nn.Module], tmp_path: Path) -> None:
    own = ACTIVATIONS[activation]()
    module = mlp(own, norm(4))
    chain, traced, module = both(module, VECTORS, activation, "none", tmp_path)
    assert sizes(chain)[0] == sizes(traced)[0]
    # A norm's gain has a scale of its own, which a chain leaves alone.
    assert sizes(chain)[1] <= sizes(traced)[1] and sizes(chain)[2] <= sizes(traced)[2]
    for seed in range(2):
        assert change(module, VECTORS, chain, seed) < 1e-12
        assert change(module, VECTORS, traced, seed) < 1e-12


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("place", ["before", "behind"])
def test_batch_norms(activation: str, place: str, tmp_path: Path) -> None:
    own = ACTIVATIONS[activation]()
    norms = [nn.BatchNorm2d(4), own] if place == "before" else [own, nn.BatchNorm2d(4)]
    module = nn.Sequential(nn.Conv2d(2, 4, 3), *norms, nn.Flatten(), nn.Linear(100, 3), own, nn.Linear(3, 2))
    chain, traced, module = both(module, IMAGES, activation, "none", tmp_path)
    assert sizes(chain)[0] == sizes(traced)[0] == 24 * 6
    # Each of the 4 channels has three factors: of what the norm reads, of its variance, and of what it gives. Tanh
    # takes the one on its side. With relu the 3 neurons behind have one each.
    assert sizes(traced)[1] == (3 * 4 + 3 if activation == "relu" else 2 * 4)
    assert sizes(chain)[1] < sizes(traced)[1] and sizes(chain)[2] <= sizes(traced)[2]
    for seed in range(2):
        assert change(module, IMAGES, chain, seed) < 1e-12
        assert change(module, IMAGES, traced, seed) < 1e-12
