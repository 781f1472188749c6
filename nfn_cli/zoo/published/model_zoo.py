"""Import a published model zoo: a folder of Ray Tune trials (see `ray_trial`)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nfn_cli.architectures import NetworkWeights, read_weights, stack
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import DataError
from nfn_cli.folders import confined
from nfn_cli.zoo.published.imported_network import ImportedNetwork, ImportReport, Value, as_text, complete_import
from nfn_cli.zoo.published.packed_writer import imported_zoo
from nfn_cli.zoo.published.ray_trial import REMEDY, Trial, find_states, find_trials, read_results, read_trial
from nfn_cli.zoo.published.readable import readable, require_same
from nfn_cli.zoo.published.run_selection import Selection

_TITLE = "model zoo of Ray Tune trials (Schürholt et al. 2022, modelzoos.cc)"


def import_model_zoo(
    folder: Path,
    out: Path,
    selection: Selection | None = None,
    where: Mapping[str, str] | None = None,
    *,
    on_start: Callable[[int], None] = lambda trials: None,
    on_trials: Callable[[int], None] = lambda trials: None,
) -> ImportReport:
    """Write the networks of a published model zoo as a packed zoo.

    A trial that cannot be read is skipped as a whole. Networks whose accuracy or loss is not finite are dropped.

    Args:
        folder: its subfolders are the trials.
        out: the zoo's folder, new or empty.
        where: only trials whose configuration has these values, such as `{"model::type": "CNN"}`.
        on_start: called with how many trials were chosen.
        on_trials: called with how many were read since the last call.

    Raises:
        DataError: no trial can be read or is chosen, the networks are of several architectures or activations, or
            `out` cannot be written.
        CheckpointError: a part cannot be written.
    """
    selection = selection or Selection()
    with imported_zoo(out) as writer:
        trials, skipped = _read_trials(folder)
        trials = _chosen(folder, trials, selection, where or {})
        activation, pool = trials[0].run.activation, trials[0].pool
        on_start(len(trials))
        first: tuple[Path, NetworkWeights] | None = None
        dropped = 0
        writer.metadata = {"activation": activation} | ({"pool": pool} if pool else {})
        read = readable(trials, lambda trial: _read_networks(folder, trial, selection), skipped, on_trials)
        for trial, (point, networks, lost) in read:
            dropped += lost
            if point is None:
                continue
            first = first or (trial.folder, point)
            require_same(trial.folder, point, *first, _choose_by(trials))
            # Under the first network's names, since names may differ.
            specs = zip(first[1].architecture.tensors, point.architecture.tensors, strict=True)
            writer.add({ours.name: point.tensors[theirs.name] for ours, theirs in specs}, networks)
        if not len(writer):
            raise _nothing(folder, len(trials), dropped, skipped)
        name = as_text(folder.resolve().name)
        origin = {
            "source": _TITLE,
            "folder": name,
            "data": name,
            "activation": activation,
            "where": dict(where or {}),
            **selection.record(),
            "dropped": dropped,
            "skipped": len(skipped),
        }
        return complete_import(writer, origin, skipped)


def _read_trials(folder: Path) -> tuple[list[Trial], list[str]]:
    """The trials whose configuration can be read, and why the others cannot."""
    skipped: list[str] = []
    found = readable(find_trials(folder), lambda path: read_trial(folder, path), skipped)
    trials = [trial for _, trial in found]
    if not trials:
        raise _nothing(folder, len(skipped), 0, skipped)
    return trials, skipped


def _chosen(folder: Path, trials: Sequence[Trial], selection: Selection, where: Mapping[str, str]) -> list[Trial]:
    """The trials to take: those that `where` and the selection leave, of one activation and one pooling."""
    found = [
        trial
        for trial in trials
        if all(name in trial.config and _says(trial.config[name], value) for name, value in where.items())
    ]
    if not found:
        wanted = ", ".join(f"{name}={value}" for name, value in where.items())
        known = ", ".join(sorted(trials[0].config))
        raise DataError(
            folder, f"no trial has {wanted} (the first one's keys are {known})", "choose others with --where"
        )
    activation = selection.one_activation(folder, Counter(trial.run.activation for trial in found))
    found = [trial for trial in found if trial.run.activation == activation]
    names = selection.drawn([trial.run.name for trial in found])
    found = [trial for trial in found if trial.run.name in names]
    if len({trial.pool for trial in found}) > 1:
        raise DataError(folder, "holds networks with and without max-pooling", _choose_by(found))
    return found


def _says(value: Value, wanted: str) -> bool:
    """Whether a setting has the value that a user wrote: 1e-3 is 0.001."""
    if isinstance(value, str | bool):
        return str(value).lower() == wanted.lower()
    try:
        return float(wanted) == value
    except ValueError:
        return False


def _read_networks(
    root: Path, trial: Trial, selection: Selection
) -> tuple[NetworkWeights | None, list[ImportedNetwork], int]:
    """The chosen networks of a trial as a batch, and how many were dropped; None if that leaves none."""
    results, states = read_results(root, trial), find_states(trial)
    both = results.keys() & states.keys()
    epochs = selection.taken(both)
    missing = set(selection.epochs).difference(epochs) if not selection.last else set()
    if missing or not epochs:
        has = ", ".join(map(str, sorted(both))) or "none"
        which = f" of epoch {min(missing)}" if missing else ""
        raise DataError(trial.folder, f"no checkpoint with a result{which} (it has {has})", "choose other epochs")
    networks = [results[epoch] for epoch in epochs if results[epoch].is_finite]
    points = [
        read_weights(
            read_checkpoint(confined(root, states[network.epoch], REMEDY)),
            activation=trial.run.activation,
            pool=trial.pool,
        ).weights
        for network in networks
    ]
    for network, point in zip(networks, points, strict=True):
        require_same(states[network.epoch], point, states[networks[0].epoch], points[0], "leave the trial out")
    return stack(points) if points else None, networks, len(epochs) - len(networks)


def _choose_by(trials: Sequence[Trial]) -> str:
    """What to choose trials of one architecture by: the first model setting in which they differ."""
    for name, value in trials[0].config.items():
        if name.startswith("model::") and any(trial.config.get(name) != value for trial in trials):
            return f"choose networks of one architecture, such as --where {name}={value}"
    return "choose networks of one architecture with --where"


def _nothing(folder: str | os.PathLike[str], trials: int, dropped: int, skipped: Sequence[str]) -> DataError:
    if not skipped:
        return DataError(folder, f"none of the {dropped:,} networks chosen is finite", "choose others")
    return DataError(folder, f"none of its {trials:,} trials can be read", f"the first: {skipped[0]}")
