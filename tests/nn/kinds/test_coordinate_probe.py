"""Coordinate-Probe: it sees the function of a network alone, asks for it at places that are learned, and at random
ones while it is being fitted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain, functional_forward
from nfn_cli.errors import HeadError
from nfn_cli.nn import CoordinateProbe, CoordinateProbeSizes
from nfn_cli.symmetry import act, sample_element

Inr = Callable[..., Architecture]
RandomInrs = Callable[..., NetworkWeights]

SIZES = CoordinateProbeSizes(side=8, channels=4)


def probe(architecture: Architecture, sizes: CoordinateProbeSizes = SIZES, classes: int = 5) -> CoordinateProbe:
    """A probe with random weights, ready to answer."""
    torch.manual_seed(0)
    return CoordinateProbe(architecture, sizes, classes).eval()


@torch.no_grad()
def prepared(point: NetworkWeights, sizes: CoordinateProbeSizes = SIZES) -> CoordinateProbe:
    """One that has seen a population, so that its answers are as far apart as those of one that was fitted."""
    made = probe(point.architecture, sizes)
    inputs = made.encode(point)
    made.fit_normalisation(inputs)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # of all batches alike
    made.train()(inputs)
    return made.eval()


@torch.no_grad()
def logits(member: CoordinateProbe, point: NetworkWeights) -> Tensor:
    return member(member.encode(point)).double()


def shifted(point: NetworkWeights, turns: Tensor) -> NetworkWeights:
    """Whole turns added to the phases of the first layer, `turns` [networks, width]."""
    name = point.architecture.tensors[1].name
    moved = point.tensors[name] + turns.double() * 2 * math.pi / point.architecture.omega_0
    return replace(point, tensors=point.tensors | {name: moved})


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    "shape", [{}, {"hidden_layers": 1}, {"hidden_layers": 3, "channels": 3}, {"omega_0": 5.0, "width": 3}], ids=str
)
def test_nothing_changes_along_an_orbit(shape: dict[str, int], mirror: bool, random_inrs: RandomInrs) -> None:
    point = random_inrs(70, **shape)
    member = prepared(point, replace(SIZES, mirror=mirror))
    element = sample_element(point.architecture, torch.Generator().manual_seed(1), batch=(70,), phase=True)
    moved = act(element, point)
    assert all((moved.tensors[name] - tensor).abs().max() > 1e-3 for name, tensor in list(point.tensors.items())[:-1])
    before, after = logits(member, point), logits(member, moved)
    assert before.std(0).min() > 0.01  # networks are told apart
    assert (after - before).abs().max() / before.std(0).mean() <= 1e-5


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_other_activations_are_read_as_well(activation: str, inr: Inr, random_inrs: RandomInrs) -> None:
    point = NetworkWeights(inr(8, 8, activation=activation), random_inrs(40).tensors)
    member = prepared(point)
    element = sample_element(point.architecture, torch.Generator().manual_seed(1), batch=(40,), scale_range=(0.5, 2))
    before = logits(member, point)
    assert (logits(member, act(element, point)) - before).abs().max() / before.std(0).mean() <= 1e-5


@pytest.mark.parametrize("turns", [1, 1_000, 1_000_000])
def test_phases_of_many_turns_keep_the_values(turns: int, random_inrs: RandomInrs) -> None:
    point = random_inrs(30)
    member = prepared(point)
    drawn = torch.randint(-turns, turns + 1, (30, 8), generator=torch.Generator().manual_seed(2))
    before, after = logits(member, point), logits(member, shifted(point, drawn))
    assert (after - before).abs().max() / before.std(0).mean() <= 1e-5


def test_huge_biases_of_float32_files_are_what_they_are(random_inrs: RandomInrs) -> None:
    point = random_inrs(6)
    name = "layers.0.bias"
    stored = (point.tensors[name] * 1e6).float()
    point = replace(point, tensors=point.tensors | {name: stored})
    member = probe(point.architecture)
    values = member._values(member.encode(point), member.grid)
    for i in range(6):
        alone = NetworkWeights(point.architecture, {key: tensor[i].double() for key, tensor in point.tensors.items()})
        assert torch.allclose(values[i].double(), functional_forward(alone, member.grid.double()), atol=1e-3)
    # As float32 would have it, without bringing phases to one turn, they are far off.
    plain = member._values([tensor.float() for tensor in point.tensors.values()], member.grid)
    assert (plain - values).abs().max() > 0.05


@pytest.mark.parametrize("hidden_layers", [1, 2, 4])
def test_the_values_are_those_of_the_network(hidden_layers: int, random_inrs: RandomInrs) -> None:
    point = random_inrs(3, hidden_layers=hidden_layers, channels=2)
    member = probe(point.architecture)
    places = torch.rand(3, 10, 2) * 2 - 1
    shared = member._values(member.encode(point), places[0])
    own = member._values(member.encode(point), places)
    for i in range(3):
        alone = NetworkWeights(point.architecture, {key: tensor[i] for key, tensor in point.tensors.items()})
        assert torch.allclose(own[i].double(), functional_forward(alone, places[i].double()), atol=1e-4)
        assert torch.allclose(shared[i].double(), functional_forward(alone, places[0].double()), atol=1e-4)


@pytest.mark.parametrize("width", [1, 8, 40])
def test_any_width_gives_the_same_modules(width: int, inr: Inr, random_inrs: RandomInrs) -> None:
    usual, other = probe(inr(8, 8)), probe(inr(width, width))
    shapes = [{name: tensor.shape for name, tensor in member.state_dict().items()} for member in (usual, other)]
    assert shapes[0] == shapes[1]
    # One fitted to a width reads any other.
    assert logits(usual, random_inrs(2, width=width)).isfinite().all()
    assert torch.equal(logits(usual, random_inrs(2, width=width)), logits(other, random_inrs(2, width=width)))


def test_more_networks_than_are_asked_at_once_get_what_they_get_alone(random_inrs: RandomInrs) -> None:
    point = random_inrs(150)
    member = prepared(point)
    whole = logits(member, point)
    for i in (0, 63, 64, 149):
        alone = replace(point, tensors={name: tensor[i : i + 1] for name, tensor in point.tensors.items()})
        assert torch.allclose(logits(member, alone)[0], whole[i], atol=1e-5)


def test_the_pictures_that_are_read_are_standard(random_inrs: RandomInrs) -> None:
    point = random_inrs(50, channels=3)
    constant = dict(point.tensors)
    constant["layers.2.weight"][:, 1], constant["layers.2.bias"][:, 1] = 0, 0.25  # a channel without any spread
    member = prepared(replace(point, tensors=constant))
    values = (member._values(member.encode(point), member.grid) - member.shift) * member.scale
    assert values.mean((0, 1)).abs().max() < 1e-4
    assert values.std((0, 1)).tolist() == pytest.approx([1, 0, 1], abs=1e-3)


# --- the places ----------------------------------------------------------------------------------------------------


def test_places_begin_as_a_grid(inr: Inr) -> None:
    member = probe(inr(8, 8))
    assert not member.moved.any()
    line = [-1 + 2 * i / 7 for i in range(8)]
    expected = torch.tensor([(row, column) for row in line for column in line])
    assert torch.allclose(member.grid, expected, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_gradients_reach_the_places(training: bool, random_inrs: RandomInrs) -> None:
    point = random_inrs(6)
    member = prepared(point).train(training)
    member(member.encode(point)).square().sum().backward()
    assert member.moved.grad is not None and member.moved.grad.isfinite().all()
    assert (member.moved.grad.abs().sum(1) > 0).all()
    assert all(parameter.grad is not None for parameter in member.parameters())


def test_moved_places_are_asked(random_inrs: RandomInrs) -> None:
    point = random_inrs(6)
    member = prepared(point)
    before = logits(member, point)
    with torch.no_grad():
        member.moved.copy_(torch.tensor([0.3, -0.2]).expand(64, 2))
    moved = logits(member, point)
    assert not torch.allclose(moved, before, atol=1e-4)
    # W (x + v) + b = W x + (b + W v): the same as moving every network the other way.
    name = "layers.0.bias"
    offset = point.tensors["layers.0.weight"] @ torch.tensor([0.3, -0.2], dtype=torch.float64)
    with torch.no_grad():
        member.moved.zero_()
    other = replace(point, tensors=point.tensors | {name: point.tensors[name] + offset})
    assert torch.allclose(logits(member, other), moved, atol=1e-4)


# --- augmentation --------------------------------------------------------------------------------------------------


def test_grids_are_random_in_training_alone(random_inrs: RandomInrs) -> None:
    point = random_inrs(6)
    member = prepared(point, replace(SIZES, dropout=0.0))
    assert torch.equal(logits(member, point), logits(member, point))
    member.train()
    first, second = logits(member, point), logits(member, point)
    assert not torch.allclose(first, second, atol=1e-4)
    torch.manual_seed(5)
    one = logits(member, point)
    torch.manual_seed(5)
    assert torch.equal(logits(member, point), one)


def test_without_any_augmentation_grids_in_training_are_the_places(inr: Inr) -> None:
    member = probe(inr(8, 8), replace(SIZES, turn=0, stretch=0, move=0))
    assert torch.allclose(member._augmented(member.grid, 3), member.grid.expand(3, -1, -1), atol=1e-6)


def test_random_grids_stay_within_their_limits_and_use_them(inr: Inr) -> None:
    torch.manual_seed(0)

    def affine(**limits: float) -> tuple[Tensor, Tensor]:
        """Linear parts [networks, 2, 2] and moves [networks, 2] of 2,000 grids."""
        member = probe(inr(8, 8), replace(SIZES, **{"turn": 0, "stretch": 0, "move": 0, **limits}))
        grids = member._augmented(torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 2_000)
        return (grids[:, 1:] - grids[:, :1]).mT, grids[:, 0]

    linear, move = affine(move=0.1)
    assert torch.allclose(linear, torch.eye(2).expand_as(linear), atol=1e-6)
    assert 0.095 < move.abs().max() <= 0.1 and move.mean(0).abs().max() < 0.01
    linear, move = affine(turn=0.3)
    angle = torch.atan2(linear[:, 1, 0], linear[:, 0, 0])
    assert not move.any() and 0.29 < angle.abs().max() <= 0.3 + 1e-6
    assert torch.allclose(linear @ linear.mT, torch.eye(2).expand_as(linear), atol=1e-5)
    linear, _ = affine(stretch=0.2)
    assert linear[:, 0, 1].abs().max() < 1e-6 and linear[:, 1, 0].abs().max() < 1e-6
    sides = torch.stack([linear[:, 0, 0], linear[:, 1, 1]])
    assert sides.min() >= 0.8 * 0.9 - 1e-5 and sides.max() <= 1.2 * 1.1 + 1e-5 and sides.std() > 0.05
    assert (sides[0] / sides[1]).max() > 1.1


def test_mirroring_in_training_is_a_fair_coin(inr: Inr) -> None:
    places = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    for mirror in (False, True):
        torch.manual_seed(0)
        member = probe(inr(8, 8), replace(SIZES, mirror=mirror, turn=0, stretch=0, move=0))
        grids = member._augmented(places, 1_000)
        assert torch.allclose(grids[:, 2], places[2].expand(1_000, 2), atol=1e-6)  # rows stay
        turned = (grids[:, 1, 1] < 0).double().mean().item()
        assert turned == 0 if not mirror else 0.45 < turned < 0.55


def test_an_answer_is_the_mean_over_a_picture_and_its_mirror_image(random_inrs: RandomInrs) -> None:
    point = random_inrs(70)
    name = "layers.0.weight"
    mirrored = replace(point, tensors=point.tensors | {name: point.tensors[name] * torch.tensor([1.0, -1.0])})
    plain, both = prepared(point), prepared(point, replace(SIZES, mirror=True))
    both.load_state_dict(plain.state_dict())
    one, other = logits(plain, point), logits(plain, mirrored)
    assert not torch.allclose(one, other, atol=1e-3)
    assert torch.allclose(logits(both, point), (one + other) / 2, atol=1e-5)
    assert torch.allclose(logits(both, point), logits(both, mirrored), atol=1e-5)


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layers",
    [
        [Layer("a", "linear", 3, 8), Layer("b", "linear", 8, 1)],
        [Layer("a", "linear", 1, 8), Layer("b", "linear", 8, 1)],
        [Layer("a", "conv", 2, 4, (3, 3)), Layer("b", "linear", 4, 2)],
        [Layer("a", "linear", 2, 4), Layer("b", "conv", 4, 2, (1,))],
    ],
    ids=["three coordinates", "one coordinate", "convolution", "convolution at the end"],
)
def test_what_is_no_picture_is_refused(layers: list[Layer]) -> None:
    with pytest.raises(HeadError, match="it is no picture, which takes two coordinates through linear layers"):
        CoordinateProbe(chain(layers, activation="sin"), SIZES, 3)


def test_an_unknown_activation_is_refused(inr: Inr) -> None:
    with pytest.raises(HeadError, match="the activation is none that nfn knows"):
        CoordinateProbe(inr(8, 8, activation="rm -rf"), SIZES, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"side": 7},
        {"side": 257},
        {"side": 8.0},
        {"side": True},
        {"channels": 0},
        {"channels": 10**9},
        {"dropout": 1.0},
        {"dropout": math.nan},
        {"turn": -0.1},
        {"stretch": 1},
        {"move": math.nan},
        {"move": "far"},
        {"mirror": 1},
    ],
    ids=str,
)
def test_sizes_beyond_reason_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        CoordinateProbeSizes(**change)  # type: ignore[arg-type]


def test_weights_that_give_huge_values_are_answered(random_inrs: RandomInrs) -> None:
    point = random_inrs(4)
    huge = replace(point, tensors=point.tensors | {"layers.2.weight": point.tensors["layers.2.weight"] * 1e30})
    assert logits(prepared(point), huge).isfinite().all()
    broken = replace(point, tensors=point.tensors | {"layers.2.weight": point.tensors["layers.2.weight"] * 1e300})
    assert not logits(prepared(point), broken).isfinite().all()
