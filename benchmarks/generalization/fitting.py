"""Fit one method to one training set, keeping what predicts the calibration part best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from settings import Budget
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.learning import FitSettings, fit_member
from nfn_cli.learning.batches import batches
from nfn_cli.nn.baselines import BoostedTrees
from nfn_cli.zoo import LabelledNetworks

Read = Callable[[NetworkWeights], list[Tensor]]
Make = Callable[[Architecture, Sequence[Tensor]], nn.Module]


@dataclass(frozen=True)
class Fitted:
    """A fitted method.

    Attributes:
        predict: what ranks a batch of networks, [batch], from their tensors [batch, *shape].
        parameters: trained numbers; None for trees.
        seconds: processor time of the fit that was kept.
        learning_rate: the one that was kept; None where there are none to choose from.
        epoch: the one that was kept, from 1; None where there are none.
    """

    predict: Callable[[NetworkWeights], Tensor]
    parameters: int | None
    seconds: float
    learning_rate: float | None
    epoch: int | None


Fit = Callable[[LabelledNetworks, LabelledNetworks, Budget, int], Fitted]
"""From the training part, the calibration part, the budget and a seed."""


def predict_all(fitted: Fitted, point: NetworkWeights) -> Tensor:
    """Predictions, float64 [networks], of a population of any size."""
    return torch.cat([fitted.predict(batch) for batch in batches(point)]).double()


def member(make: Make, read: Read, *learning_rates: float) -> Fit:
    """A method that `fit_member` trains: the loss on the calibration part chooses the learning rate and the epoch."""

    def fit(train: LabelledNetworks, calibration: LabelledNetworks, budget: Budget, seed: int) -> Fitted:
        pairs = zip(read(train.point), read(calibration.point), strict=True)
        inputs = [torch.cat(pair) for pair in pairs]
        accuracies = torch.cat([train.targets, calibration.targets])
        held_out = range(len(train), len(train) + len(calibration))
        found, least = None, math.inf
        for rate in learning_rates:
            torch.manual_seed(seed)
            module = make(train.point.architecture, inputs)
            settings = FitSettings(budget.epochs, budget.batch_size, rate)
            start = time.process_time()
            outcome = fit_member(module, inputs, accuracies, settings, seed, validation=held_out)
            seconds = time.process_time() - start
            if outcome.validation_loss is not None and outcome.validation_loss < least:
                count = sum(parameter.numel() for parameter in module.parameters())
                found = Fitted(_logits(module, read), count, seconds, rate, outcome.kept)
                least = outcome.validation_loss
        if found is None:
            raise DataError(train.files[0], "no learning rate gives a finite loss", "leave the method out")
        return found

    return fit


def trees(read: Read, *learning_rates: float) -> Fit:
    """Boosted trees: the squared error on the calibration part chooses the learning rate. No budget concerns them."""

    def fit(train: LabelledNetworks, calibration: LabelledNetworks, budget: Budget, seed: int) -> Fitted:
        inputs, held_out = read(train.point), read(calibration.point)
        candidates = []
        for rate in learning_rates:
            start = time.process_time()
            model = BoostedTrees(learning_rate=rate, seed=seed)
            model.fit(inputs, train.targets)
            seconds = time.process_time() - start
            error = (model(held_out) - calibration.targets).square().mean().item()
            candidates.append((error, Fitted(_accuracies(model, read), None, seconds, rate, None)))
        return min(candidates, key=lambda candidate: candidate[0])[1]

    return fit


def _logits(module: nn.Module, read: Read) -> Callable[[NetworkWeights], Tensor]:
    @torch.inference_mode()
    def predict(point: NetworkWeights) -> Tensor:
        logits: Tensor = module(read(point))
        return logits

    return predict


def _accuracies(model: BoostedTrees, read: Read) -> Callable[[NetworkWeights], Tensor]:
    return lambda point: model(read(point))
