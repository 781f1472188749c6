"""Heads that predict accuracies: from labelled checkpoints, split by training run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.errors import DataError, HeadError, shown
from nfn_cli.learning.accuracy_calibration import calibrate
from nfn_cli.learning.accuracy_card import accuracy_card
from nfn_cli.learning.accuracy_report import EvaluationReport, measure
from nfn_cli.learning.accuracy_settings import AccuracySettings
from nfn_cli.learning.also import also_record, read_also, together
from nfn_cli.learning.fitting import Stage, ensemble_stages
from nfn_cli.learning.known_forward_pass import known_forward_pass
from nfn_cli.learning.member_fit import FitSettings
from nfn_cli.learning.probe_images import start_probes
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.splits import FEWEST_RUNS, Part, first_seed, left_out_positions, positions
from nfn_cli.learning.tasks.task import LearningTask, Parts, require_finite
from nfn_cli.nn import ForwardPass, Head
from nfn_cli.nn.names import HEAD_KINDS
from nfn_cli.nn.tasks.accuracy import AccuracyDetails
from nfn_cli.zoo import (
    LABELS_FILE,
    ImageSet,
    LabelledNetworks,
    load_images,
    read_networks,
    read_record,
    read_unlabelled,
)
from nfn_cli.zoo.labels import RUN_COLUMN
from nfn_cli.zoo.small_cnn import SMALLEST_IMAGE

PARTS: tuple[Part, ...] = ("train", "calibration", "test")
_SMALLEST_PART = min(FEWEST_RUNS.values())
# Each member leaves out one in eight of the training runs, which calibrate the interval together with the calibration
# runs. Fewer left out steady it less; of 530 runs, this many cost an ensemble of four about 0.002 of Kendall's τ.
_FEWEST_FOLDS = 8
# To fewer training networks, 240 steps of 16 are fitted: a tenth of the work of 400 steps of 64, and no worse. Of
# Monomial-Probes fitted to 90 networks that read digits, τ on 400 others was 0.821, and 0.808 and 0.806 (two seeds);
# fitted to 210, 0.826 and 0.824 on 128 others.
_SMALL = 256
_SMALL_BATCH = 16
_SMALL_STEPS = 240


class AccuracyLearning(LearningTask[AccuracySettings, EvaluationReport]):
    """`nfn train` and `nfn evaluate`."""

    settings = AccuracySettings
    measure = staticmethod(measure)
    card = staticmethod(accuracy_card)
    zoo_record = staticmethod(read_record)

    def read(
        self, data: Path, labels: Path | None, settings: AccuracySettings | EvaluateSettings, head: Head | None = None
    ) -> LabelledNetworks:
        """See `LearningTask`."""
        if head is None and labels is None and data.suffix.lower() == ".csv":
            remedy = f"give the folder of checkpoints, and this file as --labels {data.name}"
            raise DataError(data, "is a CSV file", remedy)
        return read_networks(
            data,
            labels,
            column=settings.column,
            run_column=settings.run_column or (head.config.fitted if head else {}).get("run_column", RUN_COLUMN),
            unique=head is None,
            activation=settings.activation,
            default_activation=head.config.accepted.activation if head else None,
        )

    def read_other(
        self, folder: Path, settings: AccuracySettings | EvaluateSettings, activation: str
    ) -> LabelledNetworks:
        """See `LearningTask`. Without a `labels.csv`, each checkpoint is a run of its own, of unknown accuracy."""
        own = settings.activation
        if os.path.isfile(folder / LABELS_FILE):
            return read_networks(folder, column=settings.column, activation=own, default_activation=activation)
        return read_unlabelled(folder, activation=own, default_activation=activation)

    def parts(
        self, networks: LabelledNetworks, settings: AccuracySettings, data: Path
    ) -> tuple[Parts, AccuracySettings]:
        """See `LearningTask`."""
        seed = settings.split_seed
        if seed is None:
            seed = seed_of_split(networks.runs, settings.level, settings.run_column, data)
        chosen = (part_positions(networks.runs, part, seed, data) for part in PARTS)
        parts = Parts(*map(networks.select, chosen))
        for part in (parts.train, parts.test):
            require_spread(part.targets, data)
        if settings.also:
            parts = replace(parts, also=read_also(settings.also, parts.train, settings))
        return parts, replace(settings, split_seed=seed)

    def decided(
        self, settings: AccuracySettings, train: LabelledNetworks, data: Path, more: int = 0
    ) -> AccuracySettings:
        """See `LearningTask`.

        Raises:
            DataError: a kind of head that runs the networks, and it is not known how; or images for the probes of one
                that has none.
        """
        known = settings.forward_pass or self._known(settings, train.point.architecture, data)
        usual = "monomial-nfn" if known is None else "monomial-probe"
        settings = super().decided(replace(settings, kind=settings.kind or usual), train, data, more)
        assert settings.kind is not None
        if not HEAD_KINDS[settings.kind].runs:
            if settings.probe_images:
                cause = f"a {settings.kind} head has no probes that could start as images"
                raise DataError(settings.probe_images, cause, "leave out --probe-images, or choose another --kind")
            return replace(settings, forward_pass=None)
        if known is None:
            cause = f"a {settings.kind} head runs the networks, and no file says how"
            raise DataError(data, cause, "give --input-size, --stride and --padding of their convolutions")
        return replace(settings, forward_pass=known)

    def _known(self, settings: AccuracySettings, architecture: Architecture, data: Path) -> ForwardPass | None:
        """How the networks are run, as far as the data say it."""
        known = known_forward_pass(data, architecture)
        if known is None or not known.space or settings.probe_images is None:
            return known
        # A recipe that pools over all of space leaves the size open.
        sized = replace(known, space=tuple(_images(settings.probe_images).train_images.shape[2:]))
        return sized if sized.mismatch(architecture) is None else known

    def usual_fit(self, fit: FitSettings, networks: int, epochs: int) -> FitSettings:
        """See `LearningTask`: small populations get small batches."""
        if networks >= _SMALL or fit.batch_size is not None:
            return super().usual_fit(fit, networks, epochs)
        fit = replace(fit, batch_size=_SMALL_BATCH)
        return replace(fit, epochs=fit.epochs_for(networks, epochs, _SMALL_STEPS))

    def details(self, settings: AccuracySettings, train: LabelledNetworks) -> AccuracyDetails:
        """See `LearningTask`."""
        forward_pass = settings.forward_pass or ForwardPass()
        return AccuracyDetails(settings.level, forward_pass, train.point.architecture.hidden_widths)

    def facts(self, settings: AccuracySettings, networks: LabelledNetworks, parts: Parts) -> dict[str, Any]:
        """See `LearningTask`."""
        return {
            "networks": len(networks),
            "runs": len(set(networks.runs)),
            "column": settings.column,
            "run_column": settings.run_column,
            "split_seed": settings.split_seed,
            "folds": _folds(settings),
            **also_record(settings.also, parts.also),
            **({"probe_images": Path(settings.probe_images).name} if settings.probe_images else {}),
        }

    def made_of(self, settings: AccuracySettings) -> dict[str, Any]:
        """See `LearningTask`."""
        return {
            "forward pass": settings.forward_pass and settings.forward_pass.to_record(),
            "split seed": settings.split_seed,
            "number of folds": _folds(settings),
            "set of probe images": settings.probe_images and Path(settings.probe_images).name,
        }

    def stages(self, model: Any, parts: Parts, settings: AccuracySettings, device: str) -> list[Stage]:
        """See `LearningTask`.

        Raises:
            DataError: the networks read no images such as those for the probes.
        """
        train = together(parts.train, parts.also)
        inputs = model.encode(train.point)
        for values in inputs:
            require_finite(values, train)
        if settings.probe_images is not None:
            start_probes(model, _images(settings.probe_images), settings)
        return ensemble_stages(
            model,
            inputs,
            train.targets.to(device, torch.float32),
            settings.fit,
            runs=train.runs,
            left_out=_left_out(train, settings),
        )

    def calibrate(self, head: Head, parts: Parts, settings: AccuracySettings) -> None:
        """See `LearningTask`."""
        calibrate(head, parts.train, parts.held_out, _left_out(parts.train, settings), settings.fit.seed)

    def part_of(self, networks: LabelledNetworks, split: str, head: Head, data: Path) -> LabelledNetworks:
        """See `LearningTask`."""
        return networks.select(positions_of_split(networks.runs, split, head, data))

    def require_measurable(self, networks: LabelledNetworks, head: Head, data: Path) -> None:
        """See `LearningTask`."""
        require_spread(networks.targets, data)


def _images(source: str) -> ImageSet:
    """At the size at which a zoo of `nfn zoo cnn` takes them."""
    return load_images(source, smallest=SMALLEST_IMAGE)


def require_spread(targets: Tensor, data: Path | str) -> None:
    """Check, before long work, that there is something to rank.

    Raises:
        DataError: fewer than two different accuracies.
    """
    if len(targets.unique()) < 2:
        cause = f"the accuracies to measure on are all equal ({len(targets)} networks)"
        raise DataError(data, cause, "give more networks, of different accuracies")


def seed_of_split(runs: Sequence[str], level: float, run_column: str, data: Path | str) -> int:
    """The seed that splits runs, see `first_seed`.

    Args:
        runs: the run of each network.
        level: of the interval.
        run_column, data: where the runs stand, for the error.

    Raises:
        DataError: too few runs.
    """
    seed = first_seed(runs, level)
    if seed is None:
        count = len(set(runs))
        parts = ", ".join(f"{least} for {part}" for part, least in FEWEST_RUNS.items())
        cause = f"{len(runs)} checkpoints of only {count} runs cannot be split by run (at least {parts})"
        remedy = "give checkpoints of more runs (30 or more; a few hundred make a good head)"
        if count < len(runs):
            remedy = f"give checkpoints of more runs (30 or more), or a --run-column other than {run_column!r}"
            remedy += " if more runs than these were trained"
        raise DataError(data, cause, remedy)
    return seed


def positions_of_split(runs: Sequence[str], split: str, head: Head, data: Path) -> list[int]:
    """Where the networks of the head's test part are, or of its training part.

    Raises:
        HeadError: the head does not say how it was split.
        DataError: there are none.
    """
    seed = head.config.fitted.get("split_seed", 0)
    if not isinstance(seed, int):
        raise HeadError(head.name, f"its split_seed is {shown(seed)}", "use --split all, or fit the head again")
    chosen = positions(runs, "test" if split == "test" else "train", seed)
    if not chosen:
        raise DataError(data, f"none of its runs belong to the head's {split} split", "use --split all")
    return chosen


def part_positions(runs: Sequence[str], part: Part, seed: int, data: Path | str) -> list[int]:
    """Where the networks of a part are.

    Raises:
        DataError: the part has too few runs.
    """
    chosen = positions(runs, part, seed)
    count = len({runs[position] for position in chosen})
    if count < _SMALLEST_PART:
        cause = f"only {count} of {len(set(runs))} runs fall into the {part} part"
        raise DataError(data, cause, "give checkpoints of more runs (30 or more)")
    return chosen


def _folds(settings: AccuracySettings) -> int:
    """How many folds the training runs are dealt into, so that each member leaves out one of its own."""
    return max(_FEWEST_FOLDS, settings.members)


def _left_out(train: LabelledNetworks, settings: AccuracySettings) -> list[list[int]]:
    """Positions of the training networks that each member leaves out."""
    return left_out_positions(train.runs, _folds(settings), settings.fit.seed)[: settings.members]
