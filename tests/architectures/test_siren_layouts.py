"""The key layouts of published SIRENs are read as chains in the order of computation, from either format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import ReadNetwork, functional_forward, read_weights
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import ArchitectureError

Save = Callable[..., Path]
Deviation = Callable[[Tensor, Tensor], float]
Layout = Callable[[int], list[str]]

OMEGA_0 = 30.0

# The names of the layers of a network with so many of them, the last one without a sine.
LAYOUTS: dict[str, Layout] = {
    # Sitzmann et al.'s notebook, and the SIRENs of Zhou et al. 2023 (AllanYangZhou/nfn)
    "net.0.linear": lambda layers: [*(f"net.{i}.linear" for i in range(layers - 1)), f"net.{layers - 1}"],
    "net.0.linear, sine last": lambda layers: [f"net.{i}.linear" for i in range(layers)],
    # Navon et al. 2023 (AvivNavon/DWSNets)
    "seq.0": lambda layers: [f"seq.{i}" for i in range(layers)],
    "seq.0, modules between": lambda layers: [f"seq.{2 * i}" for i in range(layers)],
    # nfn zoo inr
    "layers.0": lambda layers: [f"layers.{i}" for i in range(layers)],
    "0": lambda layers: [str(i) for i in range(layers)],
    # lucidrains/siren-pytorch, its kin, and either inside of a wrapper
    "net.0, last_layer": lambda layers: [*(f"net.{i}" for i in range(layers - 1)), "last_layer"],
    "layers.0, last_layer": lambda layers: [*(f"layers.{i}" for i in range(layers - 1)), "last_layer"],
    "net.layers.0, last_layer": lambda layers: [*(f"net.layers.{i}" for i in range(layers - 1)), "net.last_layer"],
    "net.net.0, last_layer": lambda layers: [*(f"net.net.{i}" for i in range(layers - 1)), "net.last_layer"],
    # vsitzmann/siren: SingleBVPNet of an FCBlock
    "net.net.0.0": lambda layers: [f"net.net.{i}.0" for i in range(layers)],
}


def siren(widths: Sequence[int]) -> nn.ModuleList:
    """Layers in float64 of the given widths, of a SIREN's scale."""
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths)).double()
    with torch.no_grad():
        for layer in layers[1:]:
            layer.weight /= OMEGA_0
    return layers


def run(layers: nn.ModuleList, places: Tensor) -> Tensor:
    """As the published modules compute."""
    for layer in layers[:-1]:
        places = torch.sin(OMEGA_0 * layer(places))
    return layers[-1](places)  # type: ignore[no-any-return]


def state_dict(layers: nn.ModuleList, names: Sequence[str]) -> dict[str, Tensor]:
    """The layers' tensors under these names, in order."""
    own = zip(names, layers, strict=True)
    return {f"{name}.{part}": tensor for name, layer in own for part, tensor in layer.state_dict().items()}


def read(path: Path) -> ReadNetwork:
    return read_weights(read_checkpoint(path))


# Square hidden layers chain in any order, so that names must tell it; from the eleventh on, digits sort otherwise.
@pytest.mark.parametrize("widths", [(2, 5, 5, 1), (2, 4, 4, 4, 3), (2, *[3] * 12, 1)], ids=["3", "4", "13"])
@pytest.mark.parametrize("told", ["sidecar", "metadata"])
@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_are_read_in_order(
    layout: str, format: str, told: str, widths: Sequence[int], save: Save, deviation: Deviation
) -> None:
    layers = siren(widths)
    names = LAYOUTS[layout](len(layers))
    facts = {"activation": "sin", "omega_0": "30"}
    path = save(state_dict(layers, names), format, metadata=facts if told == "metadata" else None)
    if told == "sidecar":
        path.with_suffix(".yaml").write_text("activation: sine\nomega_0: 30\n")
    network = read(path)
    architecture = network.weights.architecture
    assert (architecture.activation, architecture.omega_0, network.activation.source) == ("sin", OMEGA_0, told)
    assert [layer.out_features for layer in architecture.layers] == list(widths[1:])
    # As in the file, but for the prefixes that wrappers add.
    assert all(name.endswith(layer.name) for name, layer in zip(names, architecture.layers, strict=True))
    places = torch.rand(7, 2, dtype=torch.float64) * 2 - 1
    assert deviation(functional_forward(network.weights, places), run(layers, places)) < 1e-12


@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_a_word_on_the_activation_it_can_be_assumed(layout: str, format: str, save: Save) -> None:
    layers = siren((2, 5, 5, 1))
    path = save(state_dict(layers, LAYOUTS[layout](3)), format)
    with pytest.raises(ArchitectureError, match="does not state its activation"):
        read(path)
    network = read_weights(read_checkpoint(path), default_activation="sin")
    assert (network.activation.name, network.activation.source) == ("sin", "assumed")
    assert [layer.in_features for layer in network.weights.architecture.layers] == [2, 5, 5]


def test_a_label_beside_the_weights_is_passed_over(tmp_path: Path) -> None:
    # The Fashion-MNIST set of Navon et al. keeps the picture's class in the state dict.
    layers = siren((2, 5, 5, 1))
    tensors = state_dict(layers, LAYOUTS["seq.0"](3))
    for name, label in {"number": 7, "tensor": torch.tensor(7)}.items():
        torch.save(tensors | {"label": label}, tmp_path / f"{name}.pth")
        network = read_weights(read_checkpoint(tmp_path / f"{name}.pth"), activation="sin")
        assert [layer.name for layer in network.weights.architecture.layers] == ["seq.0", "seq.1", "seq.2"]
