"""Optimizers over one flat tensor move numbers as PyTorch's move parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nfn_cli.zoo.wild import train
from nfn_cli.zoo.wild.flat_optimizers import FlatOptimizer
from nfn_cli.zoo.wild.training_recipe import OPTIMIZERS, draw_recipe


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("decayed", [False, True])
def test_each_number_moves_by_its_own_rate_and_decay(name: str, decayed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    gradients = torch.randn(6, 3, 5, generator=generator, dtype=torch.float64)
    rates = (0.1, 0.01, 0.5)
    recipes = [
        replace(draw_recipe(seed=0, run=0), optimizer=name, learning_rate=rate, weight_decay=0.03 * decayed * rate)
        for rate in rates
    ]
    factors = (1.0, 0.5, 0.25, 1.0, 0.125, 0.7)
    expected = []
    for place, recipe in enumerate(recipes):
        module = torch.nn.Module()
        module.weight = torch.nn.Parameter(start[place].clone())
        optimizer = train._optimizer(module, recipe)
        for factor, gradient in zip(factors, gradients, strict=True):
            optimizer.param_groups[0]["lr"] = recipe.learning_rate * factor
            module.weight.grad = gradient[place]
            optimizer.step()
        expected.append(module.weight.detach())
    each = [
        torch.tensor(own, dtype=torch.float64).repeat_interleave(5)
        for own in (rates, [train.decay_of(recipe) for recipe in recipes])
    ]
    numbers = start.flatten().clone().requires_grad_()
    flat = FlatOptimizer(name, *each)
    for factor, gradient in zip(factors, gradients, strict=True):
        flat.step(numbers, gradient.flatten(), factor, 0.9)
    torch.testing.assert_close(numbers.detach().view(3, 5), torch.stack(expected), rtol=1e-9, atol=1e-12)
