"""Run the fits of a head for any classifier: itself, and those that leave runs and populations out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.any_classifier.fit import AnyFitSettings, fit_any_classifier
from nfn_cli.learning.any_classifier.folds import BY_RUN, Fold
from nfn_cli.learning.labelled_nfn.fit import fit_monomial_any
from nfn_cli.nn.any_classifier.any_classifier import AnyClassifier
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.any_networks import AnyNetworks, joined_any
from nfn_cli.nn.labelled_nfn.monomial_any import MonomialAny, MonomialAnySizes
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks
from nfn_cli.processes import in_processes
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers

AnyModel: TypeAlias = AnyClassifier | MonomialAny

# Short fits are done before other processes have imported torch.
_WORTH_PROCESSES = 1_000
_KILLED = DataError(
    "fitting", "a process was killed, perhaps because memory ran out", "give the same command again: it goes on"
)


@dataclass(frozen=True)
class Told:
    """What the model of one fit says of the networks that it was asked about.

    Attributes:
        logits, spread, distance: logits, deviations of the members' logits, and distances, float32 [asked].
        unrun_logits, unrun_spread, unrun_distance: the same as if it were not known how any is run. Of a network that
            cannot be read so these are what is said of it as it is, and do not count. Empty where it was not asked.
        model: its tensors, of the head's own fit alone.
    """

    logits: Tensor
    spread: Tensor
    distance: Tensor
    unrun_logits: Tensor
    unrun_spread: Tensor
    unrun_distance: Tensor
    model: Mapping[str, Tensor]

    def sort(self, *, run: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, spread and distance of all as they are, or as if it were not known how they are run."""
        if run:
            return self.logits, self.spread, self.distance
        return self.unrun_logits, self.unrun_spread, self.unrun_distance


@dataclass(frozen=True)
class _Shared:
    statistics: AnyNetworks
    unrun: AnyNetworks
    targets: Tensor
    runs: tuple[str, ...]
    settings: AnyFitSettings
    device: str


def run_fits(
    networks: LabelledClassifiers,
    folds: Sequence[tuple[int, Fold]],
    settings: AnyFitSettings,
    *,
    device: str = "cpu",
    workers: int = 1,
    on_steps: Callable[[int], None] = lambda epochs: None,
) -> Iterator[tuple[int, Told]]:
    """Each fit's number and what its model says, as they finish.

    Args:
        folds: numbered.
        workers: processes of one thread each, at most; a GPU is filled by one.
        on_steps: called with how many epochs were run since the last call.

    Raises:
        DataError: a process was killed.
    """
    shared = _Shared(networks.statistics, networks.unrun, networks.targets, networks.runs, settings, device)
    if device != "cpu" or workers < 2 or len(networks) < _WORTH_PROCESSES or len(folds) < 2:
        for number, fold in folds:
            yield number, _told(shared, (number, fold), on_steps)
        return
    shared.statistics.mapped(Tensor.share_memory_)
    shared.unrun.mapped(Tensor.share_memory_)
    shared.targets.share_memory_()
    with closing(in_processes(_told, shared, folds, workers, on_steps, killed=_KILLED)) as finished:
        for (number, _), told in finished:
            yield number, told


def asks_of_both(statistics: AnyNetworks, fold: Fold) -> bool:
    """Whether a fit is also asked about networks as if it were not known how they are run.

    Those of the head and of left out runs are. Others are not where all networks are run: that takes half of the time.
    A head that reads networks by labels runs none, and knows of one sort alone.
    """
    if isinstance(statistics, LabelledNetworks):
        return False
    positions = torch.tensor([*fold.fitted, *fold.asked], dtype=torch.int64)
    return fold.way in ("", BY_RUN) or not bool(statistics.runs[positions].all())


def shown_to_fit(statistics: AnyNetworks, unrun: AnyNetworks, fold: Fold) -> tuple[AnyNetworks, list[int]]:
    """The statistics that a fit is given, and whose they are: of each network as it was read, and of those that are run
    once more, as if it were not known how, if they can be read so."""
    fitted = list(fold.fitted)
    twice = statistics.runs & ~unrun.runs
    again = [position for position in fitted if twice[position]]
    parts = [statistics.select(fitted), *([unrun.select(again)] if again else [])]
    return joined_any(parts), fitted + again


def answers_of(model: AnyModel, statistics: AnyNetworks, unrun: AnyNetworks) -> Told:
    """What a model says of networks, as they are and as if it were not known how they are run; its tensors are left
    out."""
    return Told(*_answers_of(model, statistics), *_answers_of(model, unrun), {})


@torch.inference_mode()
def _answers_of(model: AnyModel, statistics: AnyNetworks) -> tuple[Tensor, Tensor, Tensor]:
    if not len(statistics):
        return torch.zeros(0), torch.zeros(0), torch.zeros(0)
    said = model(statistics)
    return said.logits.cpu().clone(), said.spread.cpu().clone(), said.distance.cpu().clone()


def _fitted(
    shared: _Shared, shown: AnyNetworks, positions: Sequence[int], on_steps: Callable[[int], None], *, unasked: bool
) -> AnyModel:
    """A model of the kind that reads such networks."""
    targets, runs = shared.targets[positions], [shared.runs[position] for position in positions]
    settings, device = shared.settings, shared.device

    def on_epoch(loss: float) -> None:
        on_steps(1)

    if isinstance(settings.sizes, MonomialAnySizes):
        assert isinstance(shown, LabelledNetworks)
        return fit_monomial_any(shown, targets, runs, settings.sizes, settings.fit, device=device, on_epoch=on_epoch)
    assert isinstance(shown, NetworkStatistics)
    return fit_any_classifier(shown, targets, runs, settings, unasked=unasked, device=device, on_epoch=on_epoch)


def _told(shared: _Shared, job: tuple[int, Fold], on_steps: Callable[[int], None]) -> Told:
    _, fold = job
    both = asks_of_both(shared.statistics, fold)
    shown, positions = shown_to_fit(shared.statistics, shared.unrun, fold)
    model = _fitted(shared, shown, positions, on_steps, unasked=both)
    unrun = shared.unrun.select(fold.asked if both else [])
    told = answers_of(model, shared.statistics.select(fold.asked), unrun)
    if fold.way:
        return told
    return replace(told, model={name: tensor.cpu().clone() for name, tensor in model.state_dict().items()})
