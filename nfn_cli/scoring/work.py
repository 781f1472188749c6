"""What an engine is asked for, and what it gives: settings, rows, and a tally of what there was besides them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic

from nfn_cli.errors import UsageError
from nfn_cli.nn.accepted import Accepted
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.scoring.any_network import tracer_of
from nfn_cli.scoring.machine import memory
from nfn_cli.scoring.predicting import Predictor, ScoredChunk
from nfn_cli.scoring.reading import ReadSettings
from nfn_cli.scoring.rows import Stamp


@dataclass(frozen=True)
class EngineSettings:
    """How to score.

    Attributes:
        head: a head's name or folder, or a loaded one; None takes, for each network, the shipped one that fits.
        device: cpu, cuda or mps.
        activation: of all networks, over what their files say.
        jobs: processes; 0 works in this one, None decides by the work there is.
        ordered: rows in the order of the inputs, else as they are finished.
        batch_size: networks that go through a head at once, at most.
        dtype: arithmetic of the heads, "float32" or "bfloat16".
        hashed: stamp files with a hash of their contents.
        done: names of rows that are there already; their inputs are skipped.
        stop: asked now and then; once it says so, no more files are begun.
        cut: of packed files, how many networks count, see `found`.
        model: `FILE.py:FACTORY`, the user's module, by which a head for any classifier reads networks. It runs their
            code.
        input_shape: of one input of the module, or of a chain.
    """

    head: Any = None
    device: str = "cpu"
    activation: str | None = None
    jobs: int | None = None
    ordered: bool = True
    batch_size: int = 512
    dtype: str = "float32"
    hashed: bool = False
    done: Collection[str] = ()
    stop: Callable[[], bool] = lambda: False
    cut: Mapping[str, int] = field(default_factory=dict)
    model: str | None = None
    input_shape: tuple[int, ...] | None = None

    def reading(self, accepted: Mapping[str, Accepted], largest: int, fitted_by: str) -> ReadSettings:
        """How files are read for heads; the user's module is made once here, to see that it serves.

        Args:
            accepted, largest, fitted_by: as in `ReadSettings`.

        Raises:
            UsageError: it does not, or no head reads networks by a module.
        """
        own = (self.activation, self.hashed, largest, fitted_by, self.cut, self.model, self.input_shape)
        reading = ReadSettings(accepted, *own)
        if self.model is None:
            return reading
        if reading.any_head is None:
            cause = "of the heads that are asked none reads networks by a module"
            raise UsageError("--model", cause, "leave it out, or name a head for any classifier with --head")
        tracer_of(self.model, self.input_shape).picture_use()
        return reading

    def changed(self, **values: Any) -> EngineSettings:
        """The same settings but for these."""
        return replace(self, **values)


@dataclass(frozen=True)
class Scored(Generic[Row]):
    """A row, and what shows whether its file has changed since."""

    row: Row
    stamp: Stamp | None


@dataclass
class Tally:
    """What an engine counts as it goes.

    Attributes:
        skipped: inputs that were there already.
        assumed: networks of which something was assumed (what, for which head).
    """

    skipped: int = 0
    assumed: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(frozen=True)
class Work(Generic[Row]):
    """One run of the local engine: what is to be done and how, the same for all its parts.

    Attributes:
        load: makes a predictor, in whichever process needs one.
        predictor: that of this process.
        reading: how files are read, in all processes.
    """

    settings: EngineSettings
    tally: Tally
    load: Callable[[], Predictor[Row]]
    predictor: Predictor[Row]
    reading: ReadSettings

    @classmethod
    def of(cls, task: RowTask[Row], settings: EngineSettings, tally: Tally) -> Work[Row]:
        """The work that settings ask for.

        Raises:
            HeadError: there is no such head.
            UsageError: the user's module does not serve.
        """
        own = settings
        load: Callable[[], Predictor[Row]] = partial(Predictor, task, own.head, own.device, own.dtype, own.batch_size)
        predictor = load()
        reading = own.reading(predictor.accepted, memory() // 2, task.fitted_by)
        return cls(settings, tally, load, predictor, reading)

    def left(self, names: list[str]) -> list[str]:
        """Those that have no row yet; all, if a run was cut off in their midst (their rows are dropped, see `rows`)."""
        left = [name for name in names if name not in self.settings.done]
        self.tally.skipped += len(names) - len(left)
        return names if left and left == names[-len(left) :] else left

    def rows(self, scored: ScoredChunk[Row], start: int = 0, stop: int | None = None) -> list[Scored[Row]]:
        """Rows of a chunk from place `start` to `stop`, without those that are there already."""
        rows = map(Scored, scored.rows[start:stop], scored.stamps[start:stop])
        return [own for own in rows if own.row.path not in self.settings.done]
