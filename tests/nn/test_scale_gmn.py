"""ScaleGMN: what its parts do under scales and signs, what its logits do not, and that it learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import HeadError
from nfn_cli.learning import FitSettings
from nfn_cli.learning.fitting import fit_member
from nfn_cli.nn.baselines import ScaleGMN, read_tensors
from nfn_cli.nn.baselines.scale_gmn import Canonical, EdgeUpdate, Equivariant, Messages
from nfn_cli.symmetry import DiagonalKind, act, sample_element

RandomPoint = Callable[..., NetworkWeights]
SmallCNN = Callable[..., Architecture]
KINDS = [DiagonalKind.POSITIVE, DiagonalKind.SIGN]
WIDTHS = (2, 4, 3, 2)  # input, two hidden layers, output


def diagonals(kind: DiagonalKind) -> list[Tensor]:
    """Scales from 1/4 to 4, or signs, for every neuron; 1 for inputs and outputs."""
    generator = torch.Generator().manual_seed(3)
    found = []
    for place, width in enumerate(WIDTHS):
        uniform = torch.rand(width, generator=generator, dtype=torch.float64)
        drawn = 4 ** (2 * uniform - 1) if kind is DiagonalKind.POSITIVE else (uniform > 0.5).double() * 2 - 1
        found.append(drawn if 0 < place < len(WIDTHS) - 1 else torch.ones_like(drawn))
    return found


def random_graph() -> tuple[list[Tensor], list[Tensor]]:
    """Nodes and edges of three graphs, of eight channels."""
    generator = torch.Generator().manual_seed(1)
    nodes = [torch.randn(3, width, 8, generator=generator, dtype=torch.float64) for width in WIDTHS]
    pairs = zip(WIDTHS[1:], WIDTHS[:-1], strict=True)
    return nodes, [torch.randn(3, *pair, 8, generator=generator, dtype=torch.float64) for pair in pairs]


def scaled(
    nodes: Sequence[Tensor], edges: Sequence[Tensor], diagonal: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Nodes times their diagonals, edges times that of their target over that of their source."""
    return (
        [values * own[:, None] for values, own in zip(nodes, diagonal, strict=True)],
        [
            values * (target[:, None] / source)[..., None]
            for values, source, target in zip(edges, diagonal[:-1], diagonal[1:], strict=True)
        ],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_layers_commute_with_the_group(kind: DiagonalKind) -> None:
    torch.manual_seed(0)
    messages = Messages(8, kind, hidden=True, inputs=True).double()
    update = EdgeUpdate(8, kind).double()
    nodes, edges = random_graph()
    moved = scaled(nodes, edges, diagonals(kind))
    after = scaled(messages(nodes, edges), update(nodes, edges), diagonals(kind))
    for found, expected in zip((messages(*moved), update(*moved)), after, strict=True):
        for mine, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_canonical_forms_know_nothing_of_the_group_and_something_of_the_rest(kind: DiagonalKind) -> None:
    torch.manual_seed(0)
    values = torch.randn(20, 8, dtype=torch.float64)
    factors = torch.tensor([-1.0, 1.0] if kind is DiagonalKind.SIGN else [0.1, 30.0], dtype=torch.float64)
    canonical, equivariant = Canonical(8, kind).double(), Equivariant(8, 4, kind).double()
    for factor in factors:
        torch.testing.assert_close(canonical(factor * values), canonical(values), rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(equivariant(factor * values), factor * equivariant(values), rtol=1e-7, atol=1e-9)
    assert (canonical(values.roll(1, 0)) - canonical(values)).abs().min() > 0


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_logits_are_invariant(activation: str, random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(activation, width=5)
    point = random_point(architecture, 6)
    torch.manual_seed(0)
    member = ScaleGMN(architecture, channels=8).double()
    member.fit_normalisation([point.tensors[spec.name] for spec in architecture.tensors])
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(6,), scale_range=(1.0, 100.0))
    moved = act(element, point)
    with torch.no_grad():
        before, after = (
            member([shown.tensors[spec.name] for spec in architecture.tensors]) for shown in (point, moved)
        )
    assert before.std() > 0
    assert (after - before).abs().max() < 1e-6 * before.std()


def test_output_neurons_have_an_order(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=5)
    point = random_point(architecture, 6)
    rolled = {name: tensor.roll(1, 1) if name.startswith("fc.") else tensor for name, tensor in point.tensors.items()}
    torch.manual_seed(0)
    member = ScaleGMN(architecture, channels=8).double()
    tensors = ([shown[spec.name] for spec in architecture.tensors] for shown in (point.tensors, rolled))
    before, after = (member(own) for own in tensors)
    assert (after - before).abs().max() > 1e-2 * before.std()


def test_positions_of_a_flatten_are_entries_of_an_edge(random_point: RandomPoint) -> None:
    layers = [Layer("0", "conv", 1, 3, (3, 3)), Layer("1", "linear", 12, 2, (), 4)]
    architecture = chain(layers, activation="relu")
    point = random_point(architecture, 2, dtype=torch.float32)
    _, edges = ScaleGMN(architecture, channels=8).graph(read_tensors(point))
    assert [tuple(values.shape) for values in edges] == [(2, 3, 1, 8), (2, 2, 3, 8)]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_parameter_has_a_part_in_the_logits(
    activation: str, random_point: RandomPoint, small_cnn: SmallCNN
) -> None:
    architecture = small_cnn(activation, width=3)
    member = ScaleGMN(architecture, channels=4)
    member(read_tensors(random_point(architecture, 5))).square().sum().backward()
    assert [name for name, parameter in member.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_training_loop_fits_it(activation: str, random_point: RandomPoint) -> None:
    architecture = chain([Layer("0", "linear", 2, 3), Layer("1", "linear", 3, 1)], activation=activation)
    point = random_point(architecture, 64)
    # Products along paths through the network, which neither scales nor signs change.
    paths = point.tensors["1.weight"][:, 0] * point.tensors["0.weight"][:, :, 0]
    accuracies = (paths.sum(1) if activation == "relu" else paths.abs().sum(1) - 1.5).sigmoid()
    torch.manual_seed(0)
    member = ScaleGMN(architecture, channels=16, depth=2)
    inputs = read_tensors(point)
    fit_member(member, inputs, accuracies, FitSettings(epochs=20, batch_size=16, learning_rate=1e-2), seed=0)
    assert F.mse_loss(member(inputs).sigmoid(), accuracies.float()) < 0.5 * accuracies.var()


def test_units_of_the_training_population_are_taken_out(random_point: RandomPoint, small_cnn: SmallCNN) -> None:
    architecture = small_cnn(width=3)
    inputs = read_tensors(random_point(architecture, 8))
    logits = []
    for population in (inputs, [1_000 * tensor for tensor in inputs]):
        torch.manual_seed(0)
        member = ScaleGMN(architecture, channels=8)
        member.fit_normalisation(population)
        logits.append(member(population))
    torch.testing.assert_close(logits[0], logits[1])


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_other_networks_are_refused(activation: str) -> None:
    architecture = chain([Layer("0", "linear", 2, 4), Layer("1", "linear", 4, 2)], activation=activation)
    if activation == "relu":
        architecture = chain([Layer("0", "linear", 2, 4)], activation=activation)
    with pytest.raises(HeadError):
        ScaleGMN(architecture)
