"""One update for many networks equals each network's own optimizer, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfn_cli.zoo import Hyperparameters
from nfn_cli.zoo.optimizer import PopulationOptimizer

STEPS, PARAMETERS = 25, 40
REFERENCES: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "adam": lambda parameters, rate: torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.999), eps=1e-7),
    "rmsprop": lambda parameters, rate: torch.optim.RMSprop(parameters, lr=rate, alpha=0.9, eps=1e-7),
    "sgd": lambda parameters, rate: torch.optim.SGD(parameters, lr=rate),
}


@pytest.fixture
def group(runs: Callable[..., list[Hyperparameters]]) -> list[Hyperparameters]:
    """All optimizers side by side, each with two learning rates."""
    names = [name for name in REFERENCES for _ in range(2)]
    return [
        replace(run, optimizer=name, learning_rate=0.01 * (position + 1))
        for position, (run, name) in enumerate(zip(runs(len(names)), names, strict=True))
    ]


@pytest.fixture
def gradients() -> Tensor:
    """[steps, networks, parameters] of very different sizes, some of them zero all the time."""
    drawn = torch.randn(STEPS, 6, PARAMETERS, generator=torch.Generator().manual_seed(0))
    return drawn * torch.logspace(-8, 2, PARAMETERS) * (torch.arange(PARAMETERS) % 7 > 0)


def test_every_step_is_that_of_the_networks_own_optimizer(group: list[Hyperparameters], gradients: Tensor) -> None:
    start = torch.randn(len(group), PARAMETERS, generator=torch.Generator().manual_seed(1))
    population = PopulationOptimizer(start.clone(), group, STEPS)
    own = [row.clone().double().requires_grad_() for row in start]
    references = [REFERENCES[run.optimizer]([row], run.learning_rate) for run, row in zip(group, own, strict=True)]
    for step in gradients:
        population.step(step)
        for position, reference in enumerate(references):
            own[position].grad = step[position].double()
            reference.step()
            torch.testing.assert_close(
                population.parameters[position], own[position].detach().float(), atol=1e-5, rtol=1e-5
            )


def test_a_cosine_schedule_is_that_of_pytorch_for_the_runs_that_have_it(
    group: list[Hyperparameters], gradients: Tensor
) -> None:
    mixed = [replace(run, schedule="cosine" if position % 2 else "constant") for position, run in enumerate(group)]
    population = PopulationOptimizer(torch.zeros(len(group), PARAMETERS), mixed, STEPS)
    own = [torch.zeros(PARAMETERS, dtype=torch.float64, requires_grad=True) for _ in mixed]
    references = [REFERENCES[run.optimizer]([row], run.learning_rate) for run, row in zip(mixed, own, strict=True)]
    schedules = [
        torch.optim.lr_scheduler.CosineAnnealingLR(reference, STEPS)
        for run, reference in zip(mixed, references, strict=True)
        if run.schedule == "cosine"
    ]
    for step in gradients:
        population.step(step)
        for position, reference in enumerate(references):
            own[position].grad = step[position].double()
            reference.step()
        for schedule in schedules:
            schedule.step()
    expected = torch.stack([row.detach().float() for row in own])
    torch.testing.assert_close(population.parameters, expected, atol=1e-5, rtol=1e-5)


def test_updates_follow_the_formulas_of_keras(group: list[Hyperparameters], gradients: Tensor) -> None:
    population = PopulationOptimizer(torch.zeros(len(group), PARAMETERS), group, STEPS)
    w, m, v = (torch.zeros(len(group), PARAMETERS, dtype=torch.float64) for _ in range(3))
    for step, gradient in enumerate(gradients.double(), start=1):
        population.step(gradient.float())
        for i, run in enumerate(group):
            if run.optimizer == "sgd":
                w[i] -= run.learning_rate * gradient[i]
            elif run.optimizer == "rmsprop":
                v[i] = 0.9 * v[i] + 0.1 * gradient[i] ** 2
                w[i] -= run.learning_rate * gradient[i] / (v[i].sqrt() + 1e-7)
            else:
                m[i] = 0.9 * m[i] + 0.1 * gradient[i]
                v[i] = 0.999 * v[i] + 0.001 * gradient[i] ** 2
                unbiased, variance = m[i] / (1 - 0.9**step), v[i] / (1 - 0.999**step)
                w[i] -= run.learning_rate * unbiased / (variance.sqrt() + 1e-7)
    torch.testing.assert_close(population.parameters.double(), w, atol=1e-5, rtol=1e-5)


def test_a_network_that_overflows_leaves_the_others_alone(group: list[Hyperparameters], gradients: Tensor) -> None:
    alone = PopulationOptimizer(torch.zeros(len(group), PARAMETERS), group, STEPS)
    beside = PopulationOptimizer(torch.zeros(len(group), PARAMETERS), group, STEPS)
    for gradient in gradients:
        alone.step(gradient)
        broken = gradient.clone()
        broken[0] = torch.nan
        beside.step(broken)
    assert beside.parameters[0].isnan().all()
    assert torch.equal(beside.parameters[1:], alone.parameters[1:])


def test_sgd_takes_gradients_whose_square_overflows(group: list[Hyperparameters]) -> None:
    population = PopulationOptimizer(torch.zeros(len(group), 1), group, STEPS)
    population.step(torch.full((len(group), 1), 1e25))
    sgd = [position for position, run in enumerate(group) if run.optimizer == "sgd"]
    expected = torch.tensor([[-group[position].learning_rate * 1e25] for position in sgd])
    torch.testing.assert_close(population.parameters[sgd], expected)
