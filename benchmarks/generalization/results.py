"""The cache: a line of `results.jsonl` and a file of predictions for every (method, setting, seed)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from settings import Budget
from torch import Tensor

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.errors import DataError, UsageError

RESULTS_FILE = "results.jsonl"
PREDICTIONS_FOLDER = "predictions"


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes:
        fit: results with the same one share one fit.
        population: fingerprint of the zoo.
        parameters, learning_rate, epoch, fit_seconds: as in `fitting.Fitted`.
        forward_ms: processor time in milliseconds from the tensors of 1,000 networks to their predictions.
        train, test, test_runs: networks fitted to, networks measured on, and the runs these are of.
        tau: Kendall's τ and its 95 % interval; None where all predictions are equal.
    """

    method: str
    activation: str
    setting: str
    seed: int
    fit: str
    population: str
    epochs: int
    batch_size: int
    parameters: int | None
    learning_rate: float | None
    epoch: int | None
    fit_seconds: float
    forward_ms: float
    train: int
    test: int
    test_runs: int
    tau: tuple[float | None, ...]

    @property
    def key(self) -> tuple[str, str, int]:
        """What a result is looked up by."""
        return self.method, self.setting, self.seed


@dataclass(frozen=True)
class Ranking:
    """Predictions beside the truth.

    `truth` and `predicted` are float64 [networks]; `runs` names the training run of each network.
    """

    truth: Tensor
    predicted: Tensor
    runs: tuple[str, ...]


class Cache:
    """The results in a folder.

    Raises:
        DataError: the folder holds lines that are no results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / RESULTS_FILE
        self.results = {result.key: result for result in _read(self._path)}

    def require_same(self, populations: dict[str, str], budget: Budget) -> None:
        """Refuse to add to results of other networks or another budget.

        Args:
            populations: fingerprints by activation.

        Raises:
            UsageError: there are such.
        """
        for result in self.results.values():
            known = populations.get(result.activation, result.population)
            if result.population != known or (result.epochs, result.batch_size) != (budget.epochs, budget.batch_size):
                cause = f"{self.folder} has results of other networks or another budget"
                raise UsageError("--out", cause, "choose another folder, or the same zoo, --epochs and --batch-size")

    def add(self, result: Result, ranking: Ranking) -> None:
        """Write the predictions first, so that a line stands for a result that is complete.

        Raises:
            CheckpointError, DataError: the folder cannot be written to.
        """
        path = self._predictions(result)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.savez(
                    file,
                    truth=ranking.truth.numpy(),
                    predicted=ranking.predicted.numpy(),
                    runs=np.array(ranking.runs),
                )

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, write, overwrite=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
        except OSError as error:
            raise DataError(self._path, f"cannot be written ({error.strerror})", "choose another folder") from error
        self.results[result.key] = result

    def ranking(self, result: Result) -> Ranking:
        """The predictions of a result.

        Raises:
            DataError: they are missing or damaged.
        """
        path = self._predictions(result)
        try:
            with np.load(path, allow_pickle=False) as archive:
                truth, predicted, runs = archive["truth"], archive["predicted"], archive["runs"]
        except Exception as error:
            # A damaged archive makes NumPy fail in ways without number.
            remedy = f"remove its line from {RESULTS_FILE}"
            raise DataError(path, f"no readable predictions ({error})", remedy) from error
        return Ranking(torch.from_numpy(truth), torch.from_numpy(predicted), tuple(runs.tolist()))

    def of(self, method: str, setting: str) -> Sequence[Result]:
        """The results of a cell of the table, by seed."""
        cell = [result for result in self.results.values() if (result.method, result.setting) == (method, setting)]
        return sorted(cell, key=lambda result: result.seed)

    def _predictions(self, result: Result) -> Path:
        return self.folder / PREDICTIONS_FOLDER / f"{result.method}_{result.setting}_{result.seed}.npz"


def _read(path: Path) -> list[Result]:
    if not os.path.exists(path):
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read ({error})", "choose another folder") from error
    return [_result(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def _result(line: str, place: str) -> Result:
    try:
        record = json.loads(line)
        return Result(**(record | {"tau": tuple(record["tau"])}))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(place, f"not a result ({error})", "remove the line") from error
