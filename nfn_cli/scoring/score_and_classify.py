"""Many checkpoints through a head, from Python: rows in the order of the inputs, as they are made."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from nfn_cli.architectures import canonical_activation
from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.nn import Head
from nfn_cli.nn.tasks import ClassRow, Row, RowTask, ScoreRow
from nfn_cli.nn.tasks.accuracy import AccuracyTask
from nfn_cli.nn.tasks.classification import ClassificationTask
from nfn_cli.phrases import assumption
from nfn_cli.scoring.any_network import ANSWERED, NOT_ITS_OWN, NOT_RUN, TOO_LARGE
from nfn_cli.scoring.device import resolve_device
from nfn_cli.scoring.from_memory import InMemoryNetwork, parted, rows_in_memory
from nfn_cli.scoring.inputs import Inputs, found
from nfn_cli.scoring.local import run
from nfn_cli.scoring.reading import ONE_CHAIN
from nfn_cli.scoring.work import EngineSettings, Scored, Tally

Path = str | os.PathLike[str]
Networks = Path | InMemoryNetwork | Iterable[Path | InMemoryNetwork]

# Networks that go through a head at once.
_TOGETHER = {"cpu": 512, "cuda": 4096, "mps": 1024}


def score(
    paths: Networks,
    *,
    head: Path | Head | None = None,
    device: str = "auto",
    activation: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int | None = None,
    jobs: int | None = None,
    ordered: bool = True,
    batch_size: int | None = None,
    dtype: str = "float32",
    engine: str = "local",
    model: str | None = None,
    input_shape: Sequence[int] | None = None,
    inputs: Any = None,
    on_row: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Iterator[ScoreRow]:
    """Predict the accuracy of networks, in files or in memory: what `nfn predict-accuracy` does.

    >>> from torch import nn
    >>> [row] = score(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))
    >>> row.path, row.accuracy, row.error.partition(":")[0]  # no head reads such small pictures
    ('Sequential', None, 'Sequential')

    Files are read ahead, checked, grouped by architecture and put through the head in batches. Memory is bounded,
    however many there are; rows come as they are made. Closing the iterator, or leaving it to be collected, ends the
    processes behind it.

    Args:
        paths: checkpoints, folders, globs, or addresses such as `s3://bucket/zoo`; a packed file has a row for each of
            its networks, called `path#index`. Or networks in memory: a state dict (tensors by name), a module (whose
            graph shows its layers and activation), or several of these, whose rows are called `state dict#0`.
        head: a shipped head's name, a head's folder, or a loaded head (see `nfn_cli.load_head`); without it, each
            network is read by the shipped head for its own architecture, or else by one for any classifier. That one
            runs a module as it is.
        device: auto, cpu, cuda or mps; a loaded head computes where it is.
        activation: of all networks, over what their files say.
        include, exclude: patterns for names or paths of checkpoints in folders, as in `fnmatch`.
        limit: score so many networks, the first ones.
        jobs: processes; 0 works in this one, None decides by the work there is.
        ordered: rows in the order of the inputs, else as they are finished.
        batch_size: networks that go through a head at once, at most; None takes what suits the device.
        dtype: arithmetic of the head, "float32" or "bfloat16".
        engine: "local", or "ray" for the cluster that `RAY_ADDRESS` names.
        model: of networks in files, their module as `FILE.py:FACTORY`, whose code is run; a head for any classifier
            reads them by it.
        input_shape: channels, height and width of one picture, for files that do not say it.
        inputs: of one forward pass of a module, where inputs for its first layer do not fit.
        on_row: called before every row.
        on_note: called with every assumption made, after the last row.

    Yields:
        One row a network: `accuracy`, `low` and `high` are fractions between 0 and 1, with the digits of the head's
        arithmetic. A file that cannot be scored becomes a row with its `error`, one line, and None elsewhere. Which
        networks share a batch follows from the files, `jobs`, `batch_size` and what an earlier call has scored; figures
        move with it by less than 1e-6, one in the last digit that `nfn predict-accuracy` writes.

    Raises:
        HeadError, UsageError, DataError: no such head, device, activation, arithmetic or engine, or what is given is
            neither a path nor a network. All come before the first row.
        CheckpointError: a folder, glob or address without a checkpoint; comes once it is met, which may be some
            thousand files ahead of the rows.
    """
    settings = engine_settings(head, device, activation, jobs, ordered, batch_size, dtype, engine=engine)
    settings = settings.changed(model=model, input_shape=None if input_shape is None else tuple(input_shape))
    return _rows(
        AccuracyTask(), paths, settings, engine, device, include, exclude, limit, inputs, on_row=on_row, on_note=on_note
    )


def classify(
    paths: Networks,
    *,
    head: Path | Head | None = None,
    top: int = 3,
    device: str = "auto",
    activation: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    limit: int | None = None,
    jobs: int | None = None,
    ordered: bool = True,
    batch_size: int | None = None,
    dtype: str = "float32",
    engine: str = "local",
    inputs: Any = None,
    on_row: Callable[[], None] = lambda: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Iterator[ClassRow]:
    """Classify implicit neural representations, in files or in memory: what `nfn classify-inr` does.

    Args:
        head: as in `score`, but a head that classifies; loaded by `nfn_cli.load_head`.
        top: number of classes whose probability a row gives.

    Yields:
        One row an INR: probabilities are fractions, the entropy is in bits.

    Everything else is as in `score`.
    """
    settings = engine_settings(head, device, activation, jobs, ordered, batch_size, dtype, engine=engine)
    task = ClassificationTask(top)
    return _rows(task, paths, settings, engine, device, include, exclude, limit, inputs, on_row=on_row, on_note=on_note)


def engine_settings(
    head: Path | Head | None,
    device: str,
    activation: str | None,
    jobs: int | None,
    ordered: bool,
    batch_size: int | None,
    dtype: str,
    *,
    engine: str = "local",
) -> EngineSettings:
    """Settings of an engine, checked. On a cluster, its devices count rather than this machine's.

    Raises:
        UsageError: no such device, activation, arithmetic or engine, or a number that is too small.
    """
    if activation is not None:
        try:
            activation = canonical_activation(activation, f"--activation {activation}")
        except ArchitectureError as error:
            raise UsageError(error.subject, error.cause, error.remedy) from error
    if dtype not in ("float32", "bfloat16"):
        raise UsageError(f"--dtype {dtype}", "is no number format that heads compute in", "use float32 or bfloat16")
    for name, number, least in (("jobs", jobs, 0), ("batch_size", batch_size, 1)):
        if number is not None and number < least:
            raise UsageError(f"{name} {number}", "too small", f"give {least} or more")
    if engine not in ("local", "ray"):
        raise UsageError(f"--engine {engine}", "there is no such engine", "use local or ray")
    if head is None or isinstance(head, str | os.PathLike):
        head = None if head is None else os.fspath(head)
        resolved = "cpu" if engine == "ray" else resolve_device(device)
    else:
        resolved = next(head.model.parameters()).device.type
    return EngineSettings(
        head=head,
        device=resolved,
        activation=activation,
        jobs=jobs,
        ordered=ordered,
        batch_size=batch_size or _TOGETHER[resolved],
        dtype=dtype,
    )


def run_engine(
    task: RowTask[Row], paths: Iterable[str], settings: EngineSettings, tally: Tally, *, engine: str, device: str
) -> Generator[list[Scored[Row]], None, None]:
    """Score files with an engine, see `nfn_cli.scoring.local.run` and `nfn_cli.scoring.ray_engine.run_ray`."""
    if engine == "local":
        return run(task, paths, settings, tally)
    from nfn_cli.scoring.ray_engine import run_ray

    return run_ray(task, paths, settings, tally, device=device)


def assumption_notes(tally: Tally) -> list[str]:
    """What was assumed, a line each, and before it which networks a head for any classifier has answered."""
    notes = []
    first = {ANSWERED: 0, NOT_RUN: 1, TOO_LARGE: 2}
    for (said, head), count in sorted(tally.assumed.items(), key=lambda item: (first.get(item[0][0], 3), item)):
        if said == ANSWERED:
            networks = "1 network" if count == 1 else f"{count:,} networks"
            what = "a head for classifiers of every architecture, less exact than one for their own"
            notes.append(f"{networks} answered by {head}: {what}")
        elif said == NOT_RUN:
            notes.append(
                f"{count:,} of them {said}; their module makes the answer more exact (--model FILE.py:FACTORY)"
            )
        elif said == TOO_LARGE:
            notes.append(f"{count:,} of them {said}")
        else:
            notes.append(assumption(said, count, head=head, remedy=_remedy(said)))
    return notes


def _remedy(assumed: str) -> str:
    """How to state what was assumed."""
    if assumed.startswith("activation "):
        return "see --activation"
    if assumed == ONE_CHAIN or assumed.startswith("omega_0 "):
        fact = "chain: true" if assumed == ONE_CHAIN else assumed.replace(" ", ": ")
        return f"say it in a file nfn.yaml beside them ({fact})"
    if assumed == NOT_ITS_OWN:
        return "move it away, or say what they are in a file nfn.yaml (chain: true, activation: relu)"
    if assumed.startswith("pictures of "):
        return "state it with --input-shape"
    return "give their module (--model FILE.py:FACTORY)"


def _rows(
    task: RowTask[Row],
    given: Networks,
    settings: EngineSettings,
    engine: str,
    device: str,
    include: Sequence[str],
    exclude: Sequence[str],
    limit: int | None,
    inputs: Any,
    *,
    on_row: Callable[[], None],
    on_note: Callable[[str], None],
) -> Iterator[Row]:
    tally = Tally()
    paths, networks = parted(given)
    if networks:
        if include or exclude or engine != "local":
            option = "include" if include else "exclude" if exclude else "engine"
            raise UsageError(option, "is for files, and networks in memory are given", "leave it out")
        if settings.model is not None or settings.input_shape is not None:
            option = "input_shape" if settings.model is None else "model"
            remedy = "give the modules themselves, and inputs if those for their first layer do not fit"
            raise UsageError(option, "is for files, and networks in memory are given", remedy)
        parts = rows_in_memory(task, networks[:limit], settings, tally, inputs)
    else:
        if inputs is not None:
            raise UsageError("inputs", "are for modules, and files are given", "leave them out")
        cut: dict[str, int] = {}
        files: Any = found(Inputs(paths, None, include, exclude, limit), cut) if paths else iter(())
        if limit is not None:  # what is cut is known when all files are
            files, settings = iter(list(files)), settings.changed(cut=cut)
        parts = run_engine(task, files, settings, tally, engine=engine, device=device)

    def rows() -> Iterator[Row]:
        with closing(parts):
            for part in parts:
                for scored in part:
                    on_row()
                    yield scored.row
        for note in assumption_notes(tally):
            on_note(note)

    return rows()
