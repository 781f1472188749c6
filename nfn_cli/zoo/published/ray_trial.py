"""One trial of Ray Tune, as the published model zoos keep them.

A trial is a folder with `params.json` (the configuration), `result.json` (one JSON object a line, one line an epoch)
and `checkpoint_000010/checkpoints` or `checkpoint_10/checkpoints` (a state dict), one an epoch. The number of a
checkpoint is the `training_iteration` of its results; number 0 is the network before training.

Source: Schürholt et al. 2022, *Model Zoos: A Dataset of Diverse Populations of Neural Network Models*; the format is
that of ModelZoos/ModelZooDataset (def_NN_experiment.py, dataset_base.py).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nfn_cli.architectures import canonical_activation
from nfn_cli.errors import DataError
from nfn_cli.folders import confined
from nfn_cli.records import read_text
from nfn_cli.zoo.published.imported_network import ImportedNetwork, ImportedRun, Value, as_text, require_share
from nfn_cli.zoo.published.readable import listed

CONFIG_FILE, RESULTS_FILE, STATE_FILE = "params.json", "result.json", "checkpoints"
_CHECKPOINT = re.compile(r"checkpoint_(\d{1,9})")
# By the names that a trained zoo's labels have. Weight decay is not called l2: its gradient is w, not 2 w.
_HYPERPARAMETERS = {
    "learning_rate": "optim::lr",
    "weight_decay": "optim::wd",
    "momentum": "optim::momentum",
    "dropout": "model::dropout",
    "optimizer": "optim::optimizer",
    "initialiser": "model::init_type",
    "batch_size": "training::batchsize",
    "seed": "seed",
}
_POOLED = ("CNN", "CNN2", "CNN3")  # def_net.py: every one has max-pooling behind its convolutions
_UNTRAINED = -999  # stands for what was not measured before training
REMEDY = "download the trial again"
_LARGEST = 1 << 20  # bytes of a configuration, and of a line of results, which holds it again


@dataclass(frozen=True)
class Trial:
    """A trial's folder and its configuration."""

    folder: Path
    run: ImportedRun
    config: Mapping[str, Value]

    @property
    def pool(self) -> str | None:
        """The pooling after the activations, where the kind of model has one."""
        return "max" if self.config.get("model::type") in _POOLED else None


def find_trials(folder: Path) -> list[Path]:
    """The trials in a folder, in natural order.

    Raises:
        DataError: there is none, or the folder cannot be read.
    """
    entries = [folder / name for name in listed(folder, "give the folder of the trials")]
    found = [entry for entry in entries if any(os.path.lexists(entry / file) for file in (CONFIG_FILE, RESULTS_FILE))]
    if not found:
        cause = f"none of its folders is a trial (with {CONFIG_FILE} and {RESULTS_FILE})"
        raise DataError(folder, cause, "give the folder that holds the trials")
    return found


def read_trial(root: Path, folder: Path) -> Trial:
    """Read a trial's configuration.

    Args:
        root: the folder of all trials; nothing outside it is read.

    Raises:
        DataError: it is missing, damaged or names no activation.
        ArchitectureError: an activation that nfn does not know.
    """
    path = confined(root, folder / CONFIG_FILE, REMEDY)
    try:
        loaded = json.loads(read_text(path, _LARGEST))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"not readable JSON ({error})", REMEDY) from error
    if not isinstance(loaded, dict):
        raise DataError(path, "holds no configuration", REMEDY)
    plain = {name: value for name, value in loaded.items() if isinstance(value, str | int | float)}
    config = {name: as_text(value) if isinstance(value, str) else value for name, value in plain.items()}
    activation = config.get("model::nlin")
    if not isinstance(activation, str):
        raise DataError(path, "names no activation (model::nlin)", REMEDY)
    known = {ours: config[theirs] for ours, theirs in _HYPERPARAMETERS.items() if theirs in config}
    return Trial(folder, ImportedRun(as_text(folder.name), canonical_activation(activation, str(path)), known), config)


def read_results(root: Path, trial: Trial) -> dict[int, ImportedNetwork]:
    """What was measured of a trial, by epoch. Where an epoch was repeated, the last result counts.

    Raises:
        DataError: the results are missing or damaged.
    """
    path = confined(root, trial.folder / RESULTS_FILE, REMEDY)
    found: dict[int, ImportedNetwork] = {}
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LARGEST), ""), start=1):
                if len(line) == _LARGEST:
                    raise ValueError(f"line {number} is longer than {_LARGEST:,} characters")
                if line.strip():
                    network = _measured(json.loads(line), trial.run, f"{path}:{number}")
                    found[network.epoch] = network
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"not readable lines of JSON ({error})", REMEDY) from error
    return found


def find_states(trial: Trial) -> dict[int, Path]:
    """A trial's state dicts, by epoch.

    Raises:
        DataError: the folder cannot be read.
    """
    matches = (_CHECKPOINT.fullmatch(name) for name in listed(trial.folder, REMEDY))
    return {int(match[1]): trial.folder / match[0] / STATE_FILE for match in matches if match}


def _measured(result: Any, run: ImportedRun, place: str) -> ImportedNetwork:
    epoch = result.get("training_iteration") if isinstance(result, dict) else None
    if type(epoch) is not int or epoch < 0:
        raise DataError(place, "gives no training_iteration", REMEDY)
    accuracy = _figure(result, "test_acc", place)
    if accuracy is None:
        raise DataError(place, "gives no test_acc", REMEDY)
    require_share(accuracy, place, "test_acc")
    return ImportedNetwork(
        run=run,
        epoch=epoch,
        test_accuracy=accuracy,
        test_loss=_figure(result, "test_loss", place),
        train_accuracy=_figure(result, "train_acc", place),
        train_loss=_figure(result, "train_loss", place),
        validation_accuracy=_figure(result, "val_acc", place),
    )


def _figure(result: Mapping[str, Any], name: str, place: str) -> float | None:
    """None where it is missing, NaN where it was no number: Ray writes that as NaN, null or "null"."""
    value = result.get(name, _UNTRAINED)
    if value is None or value == "null":
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(place, f"{name} is no number", REMEDY)
    try:
        return None if value == _UNTRAINED else float(value)
    except OverflowError:
        return math.nan
