"""Fit a head for any classifier: its members one after the other, and how far what it knows reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nfn_cli.learning.any_classifier.loss import any_loss
from nfn_cli.learning.fitting import fit_member
from nfn_cli.learning.member_fit import FitSettings
from nfn_cli.nn.any_classifier.any_classifier import AnyClassifier, AnyClassifierSizes, member_inputs
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.any_classifier.summary import summary
from nfn_cli.nn.labelled_nfn.monomial_any import MonomialAnySizes

# Fewer networks of one sort, run or not, are fitted with those of the other sort.
_FEWEST = 40


@dataclass(frozen=True)
class AnyFitSettings:
    """How a head for any classifier is fitted.

    Attributes:
        sizes: of its members.
        fit: the budget of each member; its seed decides all that is random.
    """

    sizes: AnyClassifierSizes | MonomialAnySizes = field(default_factory=AnyClassifierSizes)
    fit: FitSettings = field(default_factory=lambda: FitSettings(learning_rate=2e-3, weight_decay=1e-2))


def fit_any_classifier(
    statistics: NetworkStatistics,
    targets: Tensor,
    runs: Sequence[str],
    settings: AnyFitSettings,
    *,
    unasked: bool = True,
    device: str = "cpu",
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> AnyClassifier:
    """Fit a head to networks.

    Args:
        statistics: of training networks, on the CPU. A network may stand there twice, run and not run.
        targets: their accuracies in [0, 1], [networks].
        runs: the training run of each.
        settings: budget and sizes.
        unasked: whether to fit the members for networks that are not run; without them it says nothing of such.
        device: where to compute.
        on_epoch: called with the mean loss after every epoch of every member.

    Returns:
        The head's module on the CPU, in evaluation mode.
    """
    torch.manual_seed(settings.fit.seed)
    assert isinstance(settings.sizes, AnyClassifierSizes)
    model = AnyClassifier(settings.sizes).to(device)
    own, truth = statistics.to(device), targets.to(device)
    for run, members, reach in ((True, model.asked, model.asked_reach), (False, model.unasked, model.unasked_reach)):
        if not (run or unasked):
            continue
        chosen = (statistics.runs == run).nonzero()[:, 0]
        if len(chosen) < _FEWEST:
            chosen = torch.arange(len(statistics))
        part = own.select(chosen)
        part_runs = [runs[position] for position in chosen.tolist()]
        for number, member in enumerate(members):
            seed = settings.fit.seed * 1_000 + number
            fit_member(
                member, member_inputs(part), truth[chosen.to(device)], settings.fit, seed, on_epoch, loss=any_loss
            )
        reach.fit(summary(part), part_runs)
    return model.cpu().eval()


def epochs_of(settings: AnyFitSettings, runs: Tensor, *, unasked: bool = True) -> int:
    """How many epochs a fit takes in all, over its members.

    Args:
        runs: of the training networks, whether it is known how each is run [networks].
        unasked: as in `fit_any_classifier`.
    """
    counts = [int((runs == run).sum()) for run in (True, *([False] if unasked else []))]
    return settings.sizes.members * sum(
        settings.fit.epochs_for(len(runs) if count < _FEWEST else count) for count in counts
    )
