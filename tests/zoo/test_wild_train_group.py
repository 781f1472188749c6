"""Networks that are trained side by side become what each becomes alone."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from nfn_cli.architectures.families.recorded import RecordedNetwork, read_steps
from nfn_cli.zoo.wild.building import Steps
from nfn_cli.zoo.wild.networks import draw_network
from nfn_cli.zoo.wild.tasks import TaskImages
from nfn_cli.zoo.wild.train import Saved, train_network
from nfn_cli.zoo.wild.train_group import _augmented, train_group
from nfn_cli.zoo.wild.training_recipe import TrainingRecipe, draw_recipe


@pytest.fixture(autouse=True)
def doubles() -> Iterator[None]:
    """Rounding that training multiplies would hide what differs."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def images() -> TaskImages:
    """A bright spot of two channels says which of four classes it is."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 4
    pictures = torch.randn(90, 2, 8, 8, generator=generator) * 0.3
    pictures[torch.arange(90), 0, labels] += 1
    return TaskImages("spots/all", pictures[:69], labels[:69], pictures[69:], labels[69:], 4)


def recipes(optimizer: str, schedule: str, rate: float = 0.02) -> list[TrainingRecipe]:
    """Four members."""
    common = replace(
        draw_recipe(seed=1, run=3),
        images=60,
        epochs=2,
        saved=(1, 2),
        optimizer=optimizer,
        batch_size=25,
        schedule=schedule,
        augmentation="none",
        early_stopping=False,
    )
    kinds = (
        ("default", "signed", 0.0, 0.0, 0.0),
        ("he", "unit", 0.01, 0.3, 0.0),
        ("orthogonal", "standard", 0.0, 0.0, 0.9),
        ("normal", "standard", 0.003, 0.1, 0.0),
    )
    return [
        replace(
            common,
            run=run,
            seed=run + 10,
            learning_rate=rate * (run + 1),
            weight_decay=decay,
            noise=noise,
            averaging=averaging,
            initialiser=initialiser,
            scale=0.2,
            preprocessing=preprocessing,
        )
        for run, (initialiser, preprocessing, decay, noise, averaging) in enumerate(kinds)
    ]


def drawn(family: str) -> RecordedNetwork:
    """The first network of a family without dropout."""
    for seed in range(50):
        steps = draw_network(random.Random(seed), family, (2, 8, 8), 4)
        if all(step["op"] != "dropout" for step in steps.listed):
            return RecordedNetwork(read_steps(steps.listed))
    raise AssertionError(family)


def together(network: RecordedNetwork, own: list[TrainingRecipe]) -> dict[tuple[int, int], Saved]:
    return {(member, saved.epoch): saved for member, saved in train_group(network, own, images())}


def same(one: Saved, other: Saved) -> None:
    assert list(one.state) == list(other.state)
    torch.testing.assert_close(one.state, other.state, rtol=1e-6, atol=1e-8)
    for name in ("epoch", "test_accuracy", "halves", "train_accuracy", "test_loss"):
        assert getattr(one, name) == pytest.approx(getattr(other, name)), name


# Not Adam where a bias precedes a BatchNorm: no gradient but rounding reaches it, and Adam brings that to full size.
@pytest.mark.parametrize(
    ("optimizer", "family", "schedule"),
    [
        ("sgd", "residual", "step"),
        ("momentum", "vgg", "one-cycle"),
        ("adam", "lenet", "cosine"),
        ("adam", "mlp", "one-cycle"),
        ("adamw", "pooled", "step"),
        ("rmsprop", "strided", "cosine"),
    ],
)
def test_each_member_is_trained_as_alone(optimizer: str, family: str, schedule: str) -> None:
    network, own = drawn(family), recipes(optimizer, schedule, 0.02 if optimizer in ("sgd", "momentum") else 0.002)
    got = together(network, own)
    assert len(got) == 8
    for member, recipe in enumerate(own):
        for saved in train_network(copy.deepcopy(network), recipe, images()):
            same(got[member, saved.epoch], saved)


def test_statistics_of_batch_norms_are_each_members_own() -> None:
    steps = Steps((2, 8, 8)).conv("conv", 4, 3).norm("batch", "bn").act("relu").op("mean").linear("fc", 4)
    network, own = RecordedNetwork(read_steps(steps.listed)), recipes("sgd", "constant")
    got = together(network, own)
    assert not torch.allclose(got[0, 2].state["bn.running_mean"], got[1, 2].state["bn.running_mean"])
    assert got[0, 2].state["bn.num_batches_tracked"].item() == 4
    for member, recipe in enumerate(own):
        same(got[member, 2], list(train_network(copy.deepcopy(network), recipe, images()))[-1])


def test_a_member_that_diverges_ends_and_harms_no_other() -> None:
    network, own = drawn("lenet"), recipes("sgd", "constant")
    own[1] = replace(own[1], learning_rate=1e200)
    got = together(network, own)
    assert {member for member, _ in got} == {0, 2, 3}
    for member in (0, 2, 3):
        for saved in train_network(copy.deepcopy(network), own[member], images()):
            same(got[member, saved.epoch], saved)


def test_a_group_that_diverges_whole_ends() -> None:
    own = [replace(recipe, learning_rate=math.inf) for recipe in recipes("sgd", "constant")]
    assert together(drawn("mlp"), own) == {}


def test_each_member_has_masks_of_its_own() -> None:
    masked, plain = (
        RecordedNetwork(read_steps(Steps((2, 8, 8)).op("flatten").dropout(rate).linear("fc", 4).listed))
        for rate in (0.5, 0.0)
    )
    own = [recipes("sgd", "constant")[0]] * 2
    one, other = (together(masked, own)[member, 2].state["fc.weight"] for member in range(2))
    assert not torch.allclose(one, other)
    one, other = (together(plain, own)[member, 2].state["fc.weight"] for member in range(2))
    assert torch.allclose(one, other)


@pytest.mark.parametrize("how", ["none", "shift", "flip", "noise"])
def test_augmentation(how: str) -> None:
    pictures = torch.randn(5, 6, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    changed = _augmented(pictures, how, torch.Generator().manual_seed(2))
    if how == "none":
        assert torch.equal(changed, pictures)
    elif how == "noise":
        assert (changed - pictures).std().item() == pytest.approx(0.1, rel=0.1)
    elif how == "flip":
        pairs = list(zip(changed.flatten(0, 1), pictures.flatten(0, 1), strict=True))
        flipped = [torch.equal(new, old.flip(2)) for new, old in pairs]
        kept = [torch.equal(new, old) for new, old in pairs]
        assert all(a != b for a, b in zip(flipped, kept, strict=True)) and any(flipped) and any(kept)
    else:
        moves = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
        found = [
            [move for move in moves if torch.equal(new, old.roll(move, (2, 3)))]
            for new, old in zip(changed, pictures, strict=True)
        ]
        assert all(len(own) == 1 for own in found) and len({own[0] for own in found}) > 1
