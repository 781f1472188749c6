"""Learning rates and momenta of steps are those of PyTorch's schedulers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nfn_cli.zoo.wild import train
from nfn_cli.zoo.wild.schedules import learning_rates, momenta
from nfn_cli.zoo.wild.training_recipe import SCHEDULES, draw_recipe


@pytest.mark.parametrize("schedule", sorted(set(SCHEDULES)))
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_they_are_what_the_single_trainer_has(schedule: str, steps: int) -> None:
    recipe = replace(draw_recipe(seed=0, run=0), schedule=schedule, optimizer="momentum", learning_rate=0.5)
    optimizer = train._optimizer(torch.nn.Linear(1, 1), recipe)
    scheduler = train._schedule(optimizer, recipe, steps)
    rates, moments = [], []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"] / 0.5)
        moments.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    assert learning_rates(schedule, steps) == pytest.approx(rates, abs=1e-9)
    assert momenta(schedule, steps) == pytest.approx(moments, abs=1e-9)
