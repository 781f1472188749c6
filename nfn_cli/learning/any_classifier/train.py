"""From labelled classifiers of any architectures to a head's folder with its model card."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from nfn_cli.architectures import Stated
from nfn_cli.learning.any_classifier.calibration import FoldsTold, calibrated, left_out_reports
from nfn_cli.learning.any_classifier.card import any_card
from nfn_cli.learning.any_classifier.fit import epochs_of
from nfn_cli.learning.any_classifier.fits import Told, asks_of_both, run_fits, shown_to_fit
from nfn_cli.learning.any_classifier.folds import Fold, folds_of
from nfn_cli.learning.any_classifier.report import AnyReport, LeftOutReport, measure_any
from nfn_cli.learning.any_classifier.settings import AnySettings
from nfn_cli.learning.any_classifier.state import AnyState, made_of
from nfn_cli.learning.head_destination import require_head_destination
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.tasks.accuracy import PARTS, part_positions, require_spread, seed_of_split
from nfn_cli.learning.train import FitPlan
from nfn_cli.nn import Head, HeadConfig
from nfn_cli.nn.accepted import ANY_CLASSIFIER, ANY_LABELLED
from nfn_cli.nn.any_networks import AnyNetworks
from nfn_cli.nn.labelled_nfn.monomial_any import sizes_for
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks
from nfn_cli.nn.tasks.accuracy import AccuracyDetails
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers, labelled, listed_classifiers, read_classifiers
from nfn_cli.zoo.record import read_yaml


def train_any_head(
    data: Sequence[Path],
    labels: Path | None,
    out: Path,
    settings: AnySettings,
    *,
    device: str = "cpu",
    overwrite: bool = False,
    on_reading: Callable[[int], None] = lambda networks: None,
    on_read: Callable[[int], None] = lambda networks: None,
    on_architectures: Callable[[int], None] = lambda architectures: None,
    on_plan: Callable[[FitPlan], None] = lambda plan: None,
    on_resume: Callable[[], None] = lambda: None,
    on_steps: Callable[[int], None] = lambda epochs: None,
    on_skip: Callable[[int], None] = lambda epochs: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> AnyReport:
    """Fit a head to networks of any architectures, set its interval by what was left out, measure it, and write it.

    While it is being fitted, the folder holds what was read and what finished fits said. A fit that was stopped goes on
    from there when it is called again with the same data and settings.

    Args:
        data, labels: as in `listed_classifiers`.
        out: the head's folder.
        overwrite: begin anew where the folder holds the state of another fit.
        on_reading: called with how many networks are read, before they are. on_read: with how many were read since.
        on_architectures: called with how many there are.
        on_plan: called with what the fits will take, before they begin: the head's own, and those that leave out runs
            and populations. on_resume: where they go on from a state.
        on_steps: called with how many epochs were run since the last call. on_skip: with those that need not be run.
        on_stage: called with what comes next.

    Returns:
        What the head does on test runs, and what fits that left out populations do on these.

    Raises:
        DataError: unusable data, too few networks in a part, a folder that cannot be written or that holds the state
            of another fit.
        CheckpointError, ArchitectureError: a listed network that cannot be read.
    """
    on_stage("reading")
    rows = listed_classifiers(data, labels, column=settings.column, run_column=settings.run_column, unique=True)
    runs = [row.label.run for row in rows]
    named = " and ".join(map(str, data)) if len(data) < 3 else f"{len(data)} folders ({data[0]} and others)"
    seed = settings.split_seed
    if seed is None:
        seed = seed_of_split(runs, settings.level, settings.run_column, named)
    settings = replace(settings, split_seed=seed)
    parts = {part: part_positions(runs, part, seed, named) for part in PARTS}
    targets = torch.tensor([row.label.target for row in rows], dtype=torch.float64)
    for part in ("train", "test"):
        require_spread(targets[parts[part]], named)
    require_head_destination(out)
    state = AnyState(out, made_of(rows, settings, device), overwrite=overwrite)
    stated = Stated(activation=settings.activation)
    found = state.statistics
    if found is not None or state.told:
        on_resume()
    if found is None:
        on_reading(len(rows))
        networks = read_classifiers(
            rows, stated, workers=settings.workers, by_labels=settings.by_labels, on_read=on_read
        )
        state.keep_statistics(networks)
    else:
        networks = labelled(rows, found)
    others = read_others(
        settings.out_of_distribution,
        settings.column,
        settings.activation,
        settings.workers,
        by_labels=settings.by_labels,
    )
    on_architectures(len(set(networks.architectures)))

    folds = folds_of(networks, parts["train"], parts["calibration"], settings.fit.fit.seed)
    told = _fitted(networks, folds, settings, device, state, on_plan, on_steps, on_skip)
    on_stage("calibrating")
    usable = {*parts["train"], *parts["calibration"]}
    record = _record(data, labels, settings, networks, folds)
    head, reports = head_of_fits(out, networks, list(zip(folds, told, strict=True)), usable, settings, record)
    measured = EvaluateSettings(seed=settings.fit.fit.seed, activation=settings.activation)
    report = measure_any(
        head, networks.select(parts["test"]), measured, others, workers=settings.workers, on_stage=on_stage
    )
    report = replace(report, left_out=reports)
    on_stage("writing")
    head.save(out, any_card(head, report))
    state.remove()
    return report


def read_others(
    folders: Mapping[str, Path], column: str, activation: str | None, workers: int, *, by_labels: bool = False
) -> dict[str, LabelledClassifiers]:
    """The networks of other populations, by their names.

    Raises:
        DataError, CheckpointError, ArchitectureError: one cannot be read.
    """
    stated = Stated(activation=activation)
    return {
        name: read_classifiers(
            listed_classifiers([folder], column=column), stated, workers=workers, by_labels=by_labels
        )
        for name, folder in folders.items()
    }


def _fitted(
    networks: LabelledClassifiers,
    folds: Sequence[Fold],
    settings: AnySettings,
    device: str,
    state: AnyState,
    on_plan: Callable[[FitPlan], None],
    on_steps: Callable[[int], None],
    on_skip: Callable[[int], None],
) -> list[Told]:
    """What the model of every fit says, in their order; those that an earlier sitting has finished are not run."""
    epochs = [
        epochs_of(
            settings.fit,
            shown_to_fit(networks.statistics, networks.unrun, fold)[0].runs,
            unasked=asks_of_both(networks.statistics, fold),
        )
        for fold in folds
    ]
    on_plan(FitPlan(len(folds[0].fitted), len(folds), sum(epochs) // len(folds)))
    on_skip(sum(epochs[number] for number in state.told))
    missing = [(number, fold) for number, fold in enumerate(folds) if number not in state.told]
    try:
        for number, told in run_fits(
            networks, missing, settings.fit, device=device, workers=settings.workers, on_steps=on_steps
        ):
            state.keep(number, told)
    finally:
        state.save()
    return [state.told[number] for number in range(len(folds))]


def head_of_fits(
    out: Path,
    networks: LabelledClassifiers,
    told: FoldsTold,
    usable: Collection[int],
    settings: AnySettings,
    record: dict[str, Any],
) -> tuple[Head, tuple[LeftOutReport, ...]]:
    """The head of the first fit, with curves and intervals set by what all fits left out; and what those fits do that
    left out populations.

    Args:
        out: the head's folder, which gives its name; nothing is written.
        usable: positions of the networks whose accuracies may be looked at.
        record: of the fit, for the head's configuration.

    Raises:
        DataError: too few networks for the level.
    """
    set_by = calibrated(networks, told, usable, settings.level)
    config = HeadConfig(
        accepted=ANY_LABELLED if settings.by_labels else ANY_CLASSIFIER,
        sizes=_sizes(settings.fit.sizes, networks.statistics, told[0][0]),
        details=AccuracyDetails(settings.level),
        fitted=record | {"interval": {"run": set_by.run.networks, "unrun": set_by.unrun.networks}},
    )
    model = config.new_model()
    model.load_state_dict(told[0][1].model, strict=False)
    for name, own in set_by.parts().items():
        getattr(model, name).load_state_dict(own.state_dict())
    reports = left_out_reports(networks, told, usable, settings.level)
    return Head(out.resolve().name, config, model.eval()), reports


def _sizes(sizes: Any, networks: AnyNetworks, fold: Fold) -> Any:
    """The sizes of the head that a fit gives: of one that reads by labels with what the fitted networks have."""
    if not isinstance(networks, LabelledNetworks):
        return sizes
    return sizes_for(sizes, [networks.networks[position].shape for position in fold.fitted])


def _record(
    data: Sequence[Path],
    labels: Path | None,
    settings: AnySettings,
    networks: LabelledClassifiers,
    folds: Sequence[Fold],
) -> dict[str, Any]:
    """What the card and the evaluation need to know of a fit."""
    zoos = {folder.resolve().name: read_yaml(folder) for folder in data}
    return {
        "data": [folder.resolve().name for folder in data],
        "labels": labels and labels.name,
        **asdict(settings.fit.fit),
        "activation": settings.activation,
        "networks": len(networks),
        "runs": len(set(networks.runs)),
        "architectures": len(set(networks.architectures)),
        "column": settings.column,
        "run_column": settings.run_column,
        "split_seed": settings.split_seed,
        "left_out": sorted({fold.way for fold in folds} - {""}),
        "zoos": {name: zoo for name, zoo in zoos.items() if isinstance(zoo, dict)},
        "out_of_distribution": {
            name: {"data": folder.resolve().name, "zoo": None} for name, folder in settings.out_of_distribution.items()
        },
    }
