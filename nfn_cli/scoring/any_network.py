"""Networks that no head for their own architecture reads, as statistics for one that reads any classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from nfn_cli.architectures import Stated
from nfn_cli.architectures.config_file import UnreadableConfigError, config_beside
from nfn_cli.architectures.read_classifier import ReadClassifier, read_classifier
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics, joined_statistics
from nfn_cli.nn.any_networks import AnyNetworks, joined_any
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks, NetworkFields, NetworkShape
from nfn_cli.scoring.machine import is_out_of_memory

if TYPE_CHECKING:
    from nfn_cli.architectures.traced import NetworkTracer

# What is said of such answers, beside what was assumed.
ANSWERED = "answered by a head for any classifier"
BY_LABELS = "answered by a head for any architecture"
NOT_RUN = "not run, since it is not known how"
NOT_ITS_OWN = "the config.json beside it is another network's"
TOO_LARGE = "not run, since its pictures have more than 64x64 pixels or 4 channels"


@dataclass(frozen=True)
class StatisticsGroup:
    """Networks of any architectures for one head, as `Group` of `nfn_cli.scoring.reading` for those of one.

    Attributes:
        positions, assumed: as there.
        arrays: the fields of `NetworkStatistics`, by name.
    """

    positions: list[int]
    head: str
    assumed: Mapping[str, int]
    arrays: dict[str, np.ndarray[Any, Any]]

    @classmethod
    def of(
        cls, positions: list[int], head: str, assumed: Mapping[str, int], parts: Sequence[NetworkStatistics]
    ) -> StatisticsGroup:
        """A group of batches, whose networks stand in the order of `positions`."""
        joined = joined_statistics(parts)
        arrays = {own.name: getattr(joined, own.name).numpy() for own in fields(joined)}
        return cls(positions, head, assumed, arrays)

    @property
    def alike(self) -> object:
        """As there: all go through their head together."""
        return None

    def moved(self, rows: int) -> StatisticsGroup:
        """The same group, in a chunk that has so many rows before these."""
        return replace(self, positions=[position + rows for position in self.positions])

    def point(self) -> NetworkStatistics:
        """The networks as a batch."""
        return NetworkStatistics(**{name: torch.from_numpy(array) for name, array in self.arrays.items()})


@dataclass(frozen=True)
class LabelledGroup:
    """The same of networks that a head reads by labels.

    Attributes:
        positions, assumed: as there.
        networks: of each its shape, the numbers of its entries and its facts as arrays, and how many classes it has.
    """

    positions: list[int]
    head: str
    assumed: Mapping[str, int]
    networks: tuple[tuple[NetworkShape, np.ndarray[Any, Any], np.ndarray[Any, Any], int], ...]

    @property
    def alike(self) -> object:
        """As there: all go through their head together."""
        return None

    def moved(self, rows: int) -> LabelledGroup:
        """As there."""
        return replace(self, positions=[position + rows for position in self.positions])

    def point(self) -> LabelledNetworks:
        """The networks as a batch."""
        return LabelledNetworks(
            tuple(
                NetworkFields(shape, torch.from_numpy(values), torch.from_numpy(facts), classes)
                for shape, values, facts, classes in self.networks
            )
        )


AnyGroup: TypeAlias = StatisticsGroup | LabelledGroup


def any_group(positions: list[int], head: str, assumed: Mapping[str, int], parts: Sequence[AnyNetworks]) -> AnyGroup:
    """A group of batches of one sort, whose networks stand in the order of `positions`."""
    joined = joined_any(parts)
    if isinstance(joined, NetworkStatistics):
        return StatisticsGroup.of(positions, head, assumed, [joined])
    networks = tuple((own.shape, own.values.numpy(), own.facts.numpy(), own.classes) for own in joined.networks)
    return LabelledGroup(positions, head, assumed, networks)


def labelled_network(
    checkpoint: Checkpoint, stated: Stated, tracer: NetworkTracer
) -> tuple[LabelledNetworks, list[str]]:
    """The fields of a network, a batch of one, and what is to be said of the answer.

    Raises:
        ArchitectureError: its group is not known.
        UsageError: the user's module cannot be made.
    """
    from nfn_cli.nn.labelled_nfn.reading import fields_of, source_of

    source = source_of(checkpoint, stated, tracer)
    return LabelledNetworks((fields_of(source),)), [BY_LABELS, *source.reading.assumptions]


@lru_cache(maxsize=1)
def tracer_of(model: str | None, input_shape: tuple[int, ...] | None) -> NetworkTracer:
    """Has the user's module, made once in each process. None is no module."""
    from nfn_cli.architectures.traced import NetworkTracer

    return NetworkTracer(model, input_shape)


def is_of_configuration(checkpoint: Checkpoint, tracer: NetworkTracer) -> bool | None:
    """Whether a network is the one that the configuration beside its file describes; None where there is none, or none
    of a known family."""
    try:
        config = config_beside(checkpoint.path)
        return None if config is None or tracer.fitting(checkpoint, config) is None else True
    except UnreadableConfigError:  # it may be nothing of the network's
        return None
    except ArchitectureError:
        return False


def any_network(checkpoint: Checkpoint, stated: Stated, tracer: NetworkTracer) -> tuple[NetworkStatistics, list[str]]:
    """The statistics of a network, a batch of one, and what is to be said of the answer.

    Raises:
        ArchitectureError: it is no classifier of pictures, or its module fails on pictures.
        UsageError: the user's module cannot be made, or takes no pictures.
    """
    network = read_classifier(checkpoint, stated, tracer)
    if network.module is None:
        statistics = _statistics(network)
    else:
        from nfn_cli.architectures.tracing.user_code import UserCodeError, user_code

        try:
            with user_code(quiet=True):  # it may print, and end the program
                finite = _answers_are_finite(network)
                statistics = _statistics(network)
        except UserCodeError as failed:
            error = failed.__cause__
            if isinstance(error, Exception) and is_out_of_memory(error):
                raise error from None
            sizes = "x".join(map(str, network.picture or ()))
            cause = f"it does not run on pictures of {sizes} ({str(failed)[:200]})"
            raise ArchitectureError(checkpoint.path, cause, "give the shape of its pictures: --input-shape") from error
        if not finite:
            cause = "its answers to pictures are not finite numbers"
            raise ArchitectureError(checkpoint.path, cause, "leave it out: its weights or its module are broken")
    said = [ANSWERED, *network.assumed]
    if not bool(statistics.runs.all()):
        said.append(NOT_RUN if network.module is None else TOO_LARGE)
    return statistics, said


@torch.no_grad()
def _answers_are_finite(network: ReadClassifier) -> bool:
    """To a black picture and a white one, where pictures are small enough for it to be run."""
    from nfn_cli.nn.any_classifier.statistics_of import is_run

    if not is_run(network):
        return True
    assert network.module is not None and network.picture is not None
    device = next((own.device for own in network.module.parameters()), torch.device("cpu"))
    pictures = torch.stack([torch.zeros(network.picture), torch.ones(network.picture)])
    return bool(network.module(pictures.to(device)).isfinite().all())


def _statistics(network: ReadClassifier) -> NetworkStatistics:
    from nfn_cli.nn.any_classifier.statistics_of import statistics_of

    return statistics_of(network)
