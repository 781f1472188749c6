"""Do independent runs in processes of one thread each, and keep `labels.csv` of what they gave.

A run is done when the table has its rows and its files are there; it is not done again.
"""

from __future__ import annotations

import csv
import io
import logging
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nfn_cli.checkpoints import write_text_atomically

Row = dict[str, Any]
LABELS = "labels.csv"
COLUMNS = (
    *("file", "run", "epoch", "task", "family", "parameters"),
    *("test_accuracy", "even_accuracy", "odd_accuracy", "train_accuracy", "test_loss"),
    *("images", "epochs", "optimizer", "learning_rate", "noise", "augmentation"),
)
_NEVER = float("inf")
_log = logging.getLogger("wild")


class OutOfTime(Exception):
    """A run was not done by its deadline; nothing of it is written."""


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        folder: where everything goes.
        columns: of the table.
        runs: their numbers.
        work: does the run of a number by a deadline (in seconds since the epoch), writes its folder and returns its
            rows: none where it diverged. It raises OutOfTime where the deadline comes first.
        start: called once in each process, before the first run.
    """

    folder: Path
    columns: Sequence[str]
    runs: Sequence[int]
    work: Callable[[int, float], list[Row]]
    start: Callable[[], None]


def do_runs(plan: Plan, workers: int, seconds: float | None) -> int:
    """Do what is not done; returns how many runs failed.

    Args:
        workers: processes; with one, all is done in this process.
        seconds: no run goes on beyond these.
    """
    deadline = time.time() + seconds if seconds else _NEVER
    rows = read_rows(plan.folder)
    if rows and set(rows[0]) != set(plan.columns):
        raise ValueError(f"{plan.folder / LABELS}: a table of other columns; choose another folder")
    broken = {row["run"] for row in rows if not (plan.folder / row["file"]).exists()}
    rows = [row for row in rows if row["run"] not in broken]
    barren = _barren(plan.folder)
    done = {int(row["run"]) for row in rows} | barren
    todo = [run for run in plan.runs if run not in done]
    _log.info("%d runs, %d of them done", len(plan.runs), len(plan.runs) - len(todo))
    failed = late = 0
    begun = time.time()
    for run, result in _results(plan, todo, workers, deadline):
        if isinstance(result, OutOfTime):
            late += 1
        elif isinstance(result, BaseException):
            failed += 1
            _log.error("run %d failed: %s: %s", run, type(result).__name__, result)
        elif not result:
            barren.add(run)
            write_text_atomically(
                _barren_file(plan.folder), "".join(f"{own}\n" for own in sorted(barren)), overwrite=True
            )
            _log.info("run %d diverged", run)
        else:
            rows += result
            write_rows(plan.folder, plan.columns, rows)
            accuracies = ", ".join(f"{row['test_accuracy']:.3f}" for row in result)
            own, passed = result[0], time.time() - begun
            _log.info("run %d: %s, %s: %s after %.0f s", run, own["task"], own["family"], accuracies, passed)
    if late or time.time() >= deadline:
        _log.info("the time is over; the same command goes on")
    write_rows(plan.folder, plan.columns, rows)
    return failed


def exit_code(do: Callable[[], int]) -> int:
    """That of a program: 0, or 1 where some of its runs failed; 2 with the line of a ValueError; 130 interrupted.

    Args:
        do: does the work, and returns how many runs failed.
    """
    try:
        return 1 if do() else 0
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _results(
    plan: Plan, todo: Sequence[int], workers: int, deadline: float
) -> Iterable[tuple[int, list[Row] | BaseException]]:
    if workers == 1:
        _begin(plan.start)
        for run in todo:
            if time.time() >= deadline:
                return
            try:
                result: list[Row] | BaseException = plan.work(run, deadline)
            except Exception as error:
                result = error
            yield run, result
        return
    waiting, flying = list(reversed(todo)), dict[Future[list[Row]], int]()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _begin, (plan.start,)) as pool:
        while flying or (waiting and time.time() < deadline):
            while waiting and len(flying) < workers and time.time() < deadline:
                run = waiting.pop()
                flying[pool.submit(plan.work, run, deadline)] = run
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                run = flying.pop(future)
                yield run, future.exception() or future.result()


def _begin(start: Callable[[], None]) -> None:
    torch.set_num_threads(1)
    start()


def run_folder(run: int) -> str:
    return f"run-{run:06d}"


def read_rows(folder: Path) -> list[Row]:
    """The rows of a folder's table, as text; none where there is no table."""
    if not (folder / LABELS).exists():
        return []
    with (folder / LABELS).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(folder: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the table of a folder, in the order of runs and epochs, in one step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: (int(row["run"]), int(row["epoch"]))))
    write_text_atomically(folder / LABELS, text.getvalue(), overwrite=True)


def _barren_file(folder: Path) -> Path:
    return folder / "diverged.txt"


def _barren(folder: Path) -> set[int]:
    """Runs that diverged before they gave anything."""
    path = _barren_file(folder)
    return set(map(int, path.read_text(encoding="utf-8").split())) if path.exists() else set()


def log_to(folder: Path) -> None:
    """Log to stderr and to `log.txt` in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    handlers = [logging.StreamHandler(sys.stderr), logging.FileHandler(folder / "log.txt", encoding="utf-8")]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", handlers=handlers, force=True)
