"""How far a prediction moves when a network is moved along its own orbit, whatever its architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nfn_cli.architectures import Stated
from nfn_cli.architectures.read_classifier import read_classifier
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.errors import NfnError
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.any_classifier.statistics_of import statistics_of
from nfn_cli.nn.any_networks import AnyNetworks, joined_any
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks
from nfn_cli.nn.labelled_nfn.reading import fields_of, source_of
from nfn_cli.nn.tasks.accuracy import Predictions
from nfn_cli.processes import in_processes
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by
from nfn_cli.zoo.listed_classifiers import KILLED, Place, kept_tracer, opened

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

MOST_MOVED = 200
_TOGETHER = 8
_WORTH_PROCESSES = 32


@dataclass(frozen=True)
class Drift:
    """What random elements of their own groups do to predictions for some networks.

    Attributes:
        networks: that were moved. unmoved: those whose group nfn does not know.
        largest: change of a predicted accuracy, divided by the standard deviation of all predictions.
        flags_changed: networks that are flagged before or after, and not both times.
    """

    networks: int
    unmoved: int
    largest: float
    flags_changed: int


def drift_of(
    predict: Callable[[AnyNetworks], Predictions],
    places: Sequence[Place],
    before: Predictions,
    *,
    stated: Stated | None = None,
    scale_range: tuple[float, float] = (1.0, 1e4),
    seed: int = 0,
    workers: int = 1,
    by_labels: bool = False,
    on_moved: Callable[[int], None] = lambda networks: None,
) -> Drift:
    """Move networks by random elements of their groups, in float64, and predict again.

    Args:
        predict: what a head says of statistics, or of fields.
        places: of the networks; at most 200 of them, evenly spread, are moved.
        before: predictions for all of the networks, as they are.
        stated: of all networks, over what their files say.
        scale_range: of the elements' scales, log-uniform.
        seed: decides the elements.
        workers: processes, at most.
        by_labels: whether the head reads fields by labels.
        on_moved: called with how many networks were moved since the last call.

    Raises:
        DataError: a process was killed.
    """
    count = min(MOST_MOVED, len(places))
    positions = [number * len(places) // count for number in range(count)]
    jobs = [
        tuple((position, places[position]) for position in positions[start : start + _TOGETHER])
        for start in range(0, count, _TOGETHER)
    ]
    shared = _Shared(stated or Stated(), scale_range, seed, by_labels)
    found: dict[int, AnyNetworks] = {}
    if workers < 2 or count < _WORTH_PROCESSES:
        for job in jobs:
            found |= _moved(shared, job, on_moved)
    else:
        with closing(in_processes(_moved, shared, jobs, workers, on_moved, killed=KILLED)) as finished:
            for _, moved in finished:
                found |= moved
    if not found:
        return Drift(0, count, 0.0, 0)
    moved_places = sorted(found)
    after = predict(joined_any([found[position] for position in moved_places]))
    change = (after.accuracy - before.accuracy[moved_places]).abs().max().item()
    spread = before.accuracy.std(correction=0).item()
    flags = after.in_distribution != before.in_distribution[moved_places]
    return Drift(
        networks=len(found),
        unmoved=count - len(found),
        largest=change / spread if change > 0 else 0.0,
        flags_changed=int(flags.sum()),
    )


@dataclass(frozen=True)
class _Shared:
    stated: Stated
    scale_range: tuple[float, float]
    seed: int
    by_labels: bool


def _moved(
    shared: _Shared, job: Sequence[tuple[int, Place]], on_moved: Callable[[int], None]
) -> dict[int, AnyNetworks]:
    """The statistics of networks after random elements, by position; without those whose group is not known."""
    found: dict[int, AnyNetworks] = {}
    move = moved_fields if shared.by_labels else moved_statistics
    for position, place in job:
        with suppress(NfnError):  # it was read as a classifier, but its group asks for more: an activation, or a module
            found[position] = move(place, shared.stated, shared.scale_range, shared.seed + position)
        on_moved(1)
    return found


def moved_statistics(place: Place, stated: Stated, scale_range: tuple[float, float], seed: int) -> NetworkStatistics:
    """The statistics of a network after a random element of its group has acted in float64.

    Raises:
        NfnError: the network, or its group, cannot be read.
    """
    tracer = NetworkTracer()
    moved = _moved_source(read_any(opened(place), stated, tracer), scale_range, seed)
    return statistics_of(read_classifier(moved.checkpoint, stated, tracer))


def moved_fields(place: Place, stated: Stated, scale_range: tuple[float, float], seed: int) -> LabelledNetworks:
    """The same for its fields."""
    source = source_of(opened(place), stated, kept_tracer())
    return LabelledNetworks((fields_of(_moved_source(source, scale_range, seed)),))


def _moved_source(source: AnySource, scale_range: tuple[float, float], seed: int) -> AnySource:
    source = _in_float64(source)
    moved = transformed_by(source, draw_element(source, Draw(scale_range=scale_range), seed))
    own = source.checkpoint
    return replace(source, checkpoint=replace(own, tensors={**own.tensors, **{name: moved[name] for name in moved}}))


def _in_float64(source: AnySource) -> AnySource:
    """The same network with float64 numbers, which an element does not round as those of the file."""
    own = source.checkpoint
    tensors = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in own.tensors.items()}
    return replace(source, checkpoint=replace(own, tensors=tensors))
