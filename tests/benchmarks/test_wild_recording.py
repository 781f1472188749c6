"""The steps of a plain module, as the trainers of wild populations write them down."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import nn

Load = Callable[[str], ModuleType]
SECOND = ("mlp", "lenet", "vgg", "strided", "residual", "all-convolutional")


def with_statistics(network: nn.Module) -> nn.Module:
    """BatchNorm that does something."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


@pytest.mark.parametrize("family", SECOND)
def test_steps_of_the_second_trainers_networks_give_their_logits(load: Load, family: str) -> None:
    networks, recording = load("second_networks"), load("recording")
    assert set(SECOND) == set(networks.FAMILIES)
    for seed in range(4):
        torch.manual_seed(seed)
        network = with_statistics(networks.FAMILIES[family](random.Random(seed), (3, 16, 16), 5))
        config = recording.configuration(network, (3, 16, 16))
        recording.require_same_logits(network, config, torch.randn(4, 3, 16, 16))


def test_steps_of_tutorials_give_their_logits(load: Load) -> None:
    recording, models = load("recording"), load("tutorial_models")
    for name in sorted({spec.model for spec in load("tutorials").specs()}):
        network, picture = getattr(models, name)()
        config = recording.configuration(with_statistics(network), tuple(picture.shape[1:]))
        recording.require_same_logits(network, config, torch.randn_like(picture))


def test_other_steps_are_found(load: Load) -> None:
    recording = load("recording")
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3))
    config = recording.configuration(network, (1, 4, 4))
    config["steps"][2]["op"] = "relu"
    with pytest.raises(ValueError, match="other logits"):
        recording.require_same_logits(network, config, torch.randn(2, 1, 4, 4))


@pytest.mark.parametrize(
    "module",
    [
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(2, stride=1),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding_mode="circular", padding=1),
        nn.Conv2d(4, 4, (1, 3)),
        nn.AdaptiveAvgPool2d(2),
        nn.Softmax(1),
    ],
)
def test_what_has_no_step_is_refused(load: Load, module: nn.Module) -> None:
    with pytest.raises(ValueError, match="no step for"):
        load("recording").steps_of(nn.Sequential(nn.Conv2d(1, 4, 3), module))


def test_multiplications_are_counted(load: Load) -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten(), nn.Linear(48, 5))
    assert load("recording").products(network, (2, 4, 4)) == 2 * 3 * 9 * 16 + 48 * 5
