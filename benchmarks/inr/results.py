"""The cache: a line of `results.jsonl` and a file of predictions for every (method, seed)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.errors import DataError, UsageError

RESULTS_FILE = "results.jsonl"
PREDICTIONS_FOLDER = "predictions"


@dataclass(frozen=True)
class Result:
    """One measurement.

    Attributes:
        population: fingerprint of the networks.
        budget: as in `fitting.Budget`.
        train, validation, test: networks fitted to, validating, and measured on.
        parameters, epoch, fit_seconds: as in `fitting.Fitted`.
        networks_per_second: of processor time, from tensors to classes.
    """

    method: str
    seed: int
    population: str
    budget: dict[str, Any]
    train: int
    validation: int
    test: int
    parameters: int
    epoch: int
    fit_seconds: float
    networks_per_second: float

    @property
    def key(self) -> tuple[str, int]:
        """What a result is looked up by."""
        return self.method, self.seed


@dataclass(frozen=True)
class Answers:
    """Classes beside the truth, all int64 [networks]; `runs` names the picture of each network.

    Attributes:
        plain, moved: predicted from test networks as they are, and moved.
    """

    truth: Tensor
    plain: Tensor
    moved: Tensor
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

    def require_same(self, population: str, budget: dict[str, Any]) -> None:
        """Refuse to add to results of other networks or another budget.

        Raises:
            UsageError: there are such.
        """
        if any((result.population, result.budget) != (population, budget) for result in self.results.values()):
            cause = f"{self.folder} has results of other networks or another budget"
            raise UsageError("--out", cause, "choose another folder, or the same zoo, --networks and budget")

    def add(self, result: Result, answers: Answers) -> None:
        """Write the predictions first, so that a line stands for a result that is complete.

        Raises:
            CheckpointError, DataError: the folder cannot be written to.
        """
        path = self._predictions(result)

        def write(temporary: Path) -> None:
            arrays = {name: getattr(answers, name).numpy() for name in ("truth", "plain", "moved")}
            with temporary.open("wb") as file:
                np.savez_compressed(file, runs=np.array(answers.runs), **arrays)

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, write, overwrite=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
        except OSError as error:
            raise DataError(self._path, f"cannot be written ({error.strerror})", "choose another folder") from error
        self.results[result.key] = result

    def answers(self, method: str) -> list[Answers]:
        """The predictions of a method, by seed; empty where it has no result.

        Raises:
            DataError: they are missing or damaged.
        """
        return [self._answers(result) for result in self.of(method)]

    def of(self, method: str) -> Sequence[Result]:
        """The results of a method, by seed."""
        return sorted((r for r in self.results.values() if r.method == method), key=lambda result: result.seed)

    def _answers(self, result: Result) -> Answers:
        path = self._predictions(result)
        try:
            with np.load(path, allow_pickle=False) as archive:
                truth, plain, moved = (torch.from_numpy(archive[name]) for name in ("truth", "plain", "moved"))
                runs = tuple(archive["runs"].tolist())
        except Exception as error:
            # A damaged archive makes NumPy fail in ways without number.
            remedy = f"remove its line from {RESULTS_FILE}"
            raise DataError(path, f"no readable predictions ({error})", remedy) from error
        return Answers(truth, plain, moved, runs)

    def _predictions(self, result: Result) -> Path:
        return self.folder / PREDICTIONS_FOLDER / f"{result.method}_{result.seed}.npz"


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
        return Result(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DataError(place, f"not a result ({error})", "remove the line") from error
