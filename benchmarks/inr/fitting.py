"""Fit one method to the training networks, keeping what classifies the validating ones best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from augmentation import Augmentation
from methods import Method, Read
from population import Parts
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.learning.batches import batches
from nfn_cli.learning.member_fit import FitSettings, MemberFit, class_loss
from nfn_cli.nn import CoordinateProbe, CoordinateProbeSizes


@dataclass(frozen=True)
class Budget:
    """What every method gets.

    Attributes:
        epochs: passes over the training networks.
        batch_size: networks a step.
        mirror: whether a picture mirrored left to right keeps its class.
    """

    epochs: int
    batch_size: int
    mirror: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """For the cache."""
        return asdict(self)


class Reader(nn.Module):
    """A method's module behind what it takes of a batch of networks, which are augmented while it is fitted.

    Inputs are the tensors of a batch [batch, *shape], in the architecture's order.
    """

    def __init__(
        self,
        architecture: Architecture,
        module: nn.Module,
        read: Read,
        augment: Callable[[NetworkWeights], NetworkWeights] | None,
    ) -> None:
        super().__init__()
        self.module = module
        self._architecture, self._read, self._augment = architecture, read, augment

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set the module's constants from the training networks."""
        self.module.fit_normalisation(self._read(self._point(inputs)))  # type: ignore[operator]

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [batch, classes]."""
        point = self._point(inputs)
        if self.training and self._augment is not None:
            point = self._augment(point)
        logits: Tensor = self.module(self._read(point))
        return logits

    def _point(self, inputs: Sequence[Tensor]) -> NetworkWeights:
        names = [spec.name for spec in self._architecture.tensors]
        return NetworkWeights(self._architecture, dict(zip(names, inputs, strict=True)))


@dataclass(frozen=True)
class Fitted:
    """A fitted method.

    Attributes:
        parameters: trained numbers.
        seconds: processor time of the fit.
        epoch: the one that was kept, from 1.
    """

    reader: Reader
    parameters: int
    seconds: float
    epoch: int


def fit(method: Method, parts: Parts, budget: Budget, seed: int) -> Fitted:
    """Fit a method from scratch within the budget."""
    architecture = parts.train.point.architecture
    torch.manual_seed(seed)
    module, read = method.make(architecture, parts.classes, budget.mirror)
    augment = None
    if method.augmented:
        augment = Augmentation(CoordinateProbe(architecture, CoordinateProbeSizes(mirror=budget.mirror), parts.classes))
    reader = Reader(architecture, module, read, augment)
    pairs = zip(tensors(parts.train.point), tensors(parts.validation.point), strict=True)
    inputs = [torch.cat(pair) for pair in pairs]
    classes = torch.cat([parts.train.labels, parts.validation.labels])
    settings = FitSettings(budget.epochs, budget.batch_size, method.learning_rate)
    start = time.process_time()
    held_out = range(len(parts.train), len(classes))
    work = MemberFit(reader, inputs, classes, settings, seed, validation=held_out, loss=class_loss)
    while not work.finished:
        work.run_epoch()
    outcome = work.finish()
    seconds = time.process_time() - start
    return Fitted(reader, sum(parameter.numel() for parameter in module.parameters()), seconds, outcome.kept)


def tensors(point: NetworkWeights) -> list[Tensor]:
    """Of a batch of networks, [batch, *shape] each, in the architecture's order."""
    return [point.tensors[spec.name] for spec in point.architecture.tensors]


@torch.inference_mode()
def predict(reader: Reader, point: NetworkWeights) -> tuple[Tensor, float]:
    """Classes, int64 [networks], and the processor time in seconds from tensors to classes."""
    start = time.process_time()
    found = torch.cat([reader(tensors(batch)).argmax(1) for batch in batches(point)])
    return found, time.process_time() - start
