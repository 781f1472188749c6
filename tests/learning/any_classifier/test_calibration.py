"""Networks that are run and networks that are not have each their own curve and interval."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.any_classifier.calibration import Calibrated, FoldsTold, calibrated, left_out_reports
from nfn_cli.learning.any_classifier.fits import Told, shown_to_fit
from nfn_cli.learning.any_classifier.folds import BY_RUN, Fold
from nfn_cli.learning.any_classifier.state import AnyState
from nfn_cli.nn.any_classifier.network_statistics import ANSWERS, MOST_LAYERS, TOKEN, WHOLE, NetworkStatistics
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers, Place

LEVEL = 0.9
# Deviations of the errors' logits, of networks that are run and of the same read as if they were not.
RUN, UNRUN = 0.15, 0.8
FAMILIES = ("lenet", "mlp", "vgg")
# Of ten networks so many are not run, and so many are run and read in no other way.
NOT_RUN, BRANCHED = 2, 1


def statistics(runs: Tensor) -> NetworkStatistics:
    count = len(runs)
    return NetworkStatistics(
        layers=torch.zeros(count, MOST_LAYERS, TOKEN),
        depth=torch.full((count,), 3),
        whole=torch.zeros(count, WHOLE),
        answers=torch.zeros(count, ANSWERS),
        runs=runs,
        classes=torch.full((count,), 10),
    )


def networks_of(count: int, seed: int = 0) -> LabelledClassifiers:
    """Networks of which a fifth are not run, and a tenth are run and have branches."""
    generator = torch.Generator().manual_seed(seed)
    sort = torch.arange(count) % 10
    known = sort >= NOT_RUN
    return LabelledClassifiers(
        statistics=statistics(known),
        unrun=statistics(known & (sort < NOT_RUN + BRANCHED)),
        targets=0.15 + 0.8 * torch.rand(count, generator=generator, dtype=torch.float64),
        halves=torch.full((count, 2), float("nan"), dtype=torch.float64),
        runs=tuple(map(str, range(count))),
        places=tuple(Place(Path(f"{number}.safetensors"), None) for number in range(count)),
        tasks=("",) * count,
        families=tuple(FAMILIES[number % 3] for number in range(count)),
        trainers=("",) * count,
        architectures=("a",) * count,
    )


def told_of(networks: LabelledClassifiers, asked: list[int], seed: int) -> Told:
    """Answers whose logits err by `RUN`, or by `UNRUN` where a network is not run."""
    generator = torch.Generator().manual_seed(seed)
    logits = networks.targets[asked].logit()

    def said(runs: Tensor) -> Tensor:
        scale = torch.where(runs[asked], RUN, UNRUN)
        return (logits + scale * torch.randn(len(asked), generator=generator, dtype=torch.float64)).float()

    run, unrun = said(networks.statistics.runs), said(networks.unrun.runs)
    known = networks.statistics.runs[asked]
    spread, distance = torch.full((len(asked),), 0.3), torch.full((len(asked),), 0.5)
    return Told(run, spread, distance, torch.where(known, unrun, run), spread, distance, model={})


def folds_told(networks: LabelledClassifiers, seed: int = 0) -> FoldsTold:
    """The head's own fit, one that left out runs, and one for each family."""
    count = len(networks)
    parts = [("", "", list(range(0, count, 2))), (BY_RUN, "", list(range(1, count, 2)))]
    parts += [
        ("family", own, [place for place, other in enumerate(networks.families) if other == own]) for own in FAMILIES
    ]
    return [
        (Fold(way, value, (), tuple(asked)), told_of(networks, asked, seed + number))
        for number, (way, value, asked) in enumerate(parts)
    ]


def calibrated_by(networks: LabelledClassifiers, told: FoldsTold) -> Calibrated:
    return calibrated(networks, told, range(len(networks)), LEVEL)


def covered(networks: LabelledClassifiers, low: Tensor, high: Tensor, chosen: Tensor) -> float:
    inside = (low <= networks.targets) & (networks.targets <= high)
    return inside[chosen].double().mean().item()


@pytest.fixture(scope="module")
def set_by() -> Calibrated:
    networks = networks_of(1_200)
    return calibrated_by(networks, folds_told(networks))


def test_both_sorts_are_covered_near_the_level(set_by: Calibrated) -> None:
    fresh = networks_of(1_200, seed=1)
    told = told_of(fresh, list(range(1_200)), seed=99)
    said = set_by.predictions(told, fresh.statistics.runs, fresh.classes)
    unrun = set_by.unrun_predictions(told, fresh.classes)
    runs = fresh.statistics.runs
    assert 0.86 < covered(fresh, said.low, said.high, runs) < 0.95
    assert 0.84 < covered(fresh, said.low, said.high, ~runs) < 0.97
    assert 0.86 < covered(fresh, unrun.low, unrun.high, fresh.has_unrun) < 0.95
    width = said.high - said.low
    assert width[~runs].median() > 2 * width[runs].median()
    assert torch.equal(said.low[~runs], unrun.low[~runs])


def test_answers_for_networks_that_cannot_be_read_so_do_not_count(set_by: Calibrated) -> None:
    networks = networks_of(1_200)
    told = []
    for fold, own in folds_told(networks):
        branched = networks.unrun.runs[list(fold.asked)]
        told.append((fold, replace(own, unrun_logits=own.unrun_logits.masked_fill(branched, 50.0))))
    again = calibrated_by(networks, told)
    assert again.unrun.networks == 1_200 * 9 // 10 and again.run.networks == 1_200 * 8 // 10
    for name, part in again.parts().items():
        for key, tensor in part.state_dict().items():
            assert torch.equal(tensor, set_by.parts()[name].state_dict()[key])


def test_networks_that_are_not_run_count_with_those_that_are_read_so(set_by: Calibrated) -> None:
    networks = networks_of(1_200)
    told = []
    for fold, own in folds_told(networks):
        odd = ~networks.statistics.runs[list(fold.asked)]
        told.append((fold, replace(own, unrun_logits=torch.where(odd, -own.unrun_logits, own.unrun_logits))))
    again = calibrated_by(networks, told)
    assert torch.equal(again.run.interval.terms, set_by.run.interval.terms)
    assert not torch.equal(again.unrun.interval.terms, set_by.unrun.interval.terms)


def test_a_sort_of_too_few_networks_keeps_an_interval_of_everything() -> None:
    networks = networks_of(40)  # 8 are not run
    networks = replace(networks, unrun=statistics(networks.statistics.runs))
    told = folds_told(networks)
    found = calibrated_by(networks, told)
    assert (found.run.networks, found.unrun.networks) == (32, 8)
    assert found.unrun.interval.terms.eq(1).all() and found.unrun.curve.curve.eq(0).all()
    asked = list(range(40))
    said = found.predictions(told_of(networks, asked, 5), networks.statistics.runs, networks.classes)
    width = said.high - said.low
    assert width[~networks.statistics.runs].eq(1).all() and width[networks.statistics.runs].max() < 1
    with pytest.raises(DataError, match="5 networks whose runs were left out, and a 90 % interval takes 9"):
        calibrated(networks, told, range(2, 7), LEVEL)


def test_populations_are_measured_as_they_are_and_as_if_they_were_not_run() -> None:
    networks = networks_of(600)
    (report,) = left_out_reports(networks, folds_told(networks), range(600), LEVEL)
    assert [own.networks for own in report.populations] == [200] * 3 and report.unrun is not None
    assert [own.networks for own in report.unrun.populations] == [140] * 3
    assert report.mean_coverage > 0.85 and report.unrun.mean_coverage > 0.85
    for own, unrun in zip(report.populations, report.unrun.populations, strict=True):
        assert unrun.width > own.width and unrun.mean_absolute_error.value > own.mean_absolute_error.value


def test_a_network_that_cannot_be_read_so_is_shown_to_a_fit_once() -> None:
    networks = networks_of(20)
    shown, positions = shown_to_fit(networks.statistics, networks.unrun, Fold("", "", tuple(range(10)), ()))
    assert positions == [*range(10), *range(NOT_RUN + BRANCHED, 10)]
    assert shown.runs.tolist() == [False] * 2 + [True] * 8 + [False] * 7


def test_a_state_keeps_what_was_said_in_both_ways(tmp_path: Path) -> None:
    networks = networks_of(20)
    (_, told), *_ = folds_told(networks)
    state = AnyState(tmp_path / "head", {"level": LEVEL})
    state.keep_statistics(networks)
    state.keep(3, told)
    state.save()
    again = AnyState(tmp_path / "head", {"level": LEVEL})
    for name, tensor in vars(replace(told, model={})).items():
        assert name == "model" or torch.equal(getattr(again.told[3], name), tensor)
    assert again.statistics is not None
    assert torch.equal(again.statistics.unrun.runs, networks.unrun.runs)
