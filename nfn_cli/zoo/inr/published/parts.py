"""Write imported INRs as a packed zoo, as `nfn zoo inr --packed` does: parts of bounded size, then the records."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from nfn_cli.architectures import WeightSpace, stack
from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.errors import DataError
from nfn_cli.zoo.inr.labels import InrRow, write_inr_rows
from nfn_cli.zoo.inr.published.found import PublishedInr
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.published.parts import require_free
from nfn_cli.zoo.record import SETTINGS_FILE, write_origin

_MOST_NETWORKS = 4_096
_MOST_NUMBERS = 1 << 24


class InrParts:
    """Networks of one architecture, taken as they come. No more than a part's worth waits in memory.

    A context manager: whatever ends the work before `finish` leaves nothing behind.

    Args:
        folder: of the zoo; a new or empty one.
        classes: numbers of the published labels.

    Raises:
        DataError: the folder holds something.
    """

    def __init__(self, folder: Path, classes: Mapping[str, int]) -> None:
        require_free(folder)
        self._folder = folder
        self._classes = classes
        self._made: list[Path] = []
        self._rows: list[InrRow] = []
        self._parts: list[str] = []
        self._waiting: list[tuple[WeightSpace, PublishedInr]] = []
        self._finished = False

    def __enter__(self) -> InrParts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._finished:
            return
        for name in (*self._parts, SETTINGS_FILE, LABELS_FILE):
            (self._folder / name).unlink(missing_ok=True)
        for made in self._made:
            with suppress(OSError):
                made.rmdir()

    def __len__(self) -> int:
        """Networks taken so far."""
        return len(self._rows) + len(self._waiting)

    def add(self, network: WeightSpace, inr: PublishedInr, metadata: Mapping[str, str]) -> None:
        """Take a network; all are of one architecture.

        Args:
            metadata: of the part that it comes into.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        self._waiting.append((network, inr))
        count = len(self._waiting)
        if count == _MOST_NETWORKS or count * network.architecture.parameter_count >= _MOST_NUMBERS:
            self._write(metadata)

    def finish(self, origin: Mapping[str, Any], metadata: Mapping[str, str]) -> list[InrRow]:
        """Write what waits, then `zoo.yaml` from `origin`, then `labels.csv`; returns its rows.

        Raises:
            DataError, CheckpointError: the zoo cannot be written.
        """
        if self._waiting:
            self._write(metadata)
        write_origin(self._folder, origin)
        # The labels come last: a folder that has them is complete.
        write_inr_rows(self._folder, self._rows)
        self._finished = True
        return self._rows

    def _write(self, metadata: Mapping[str, str]) -> None:
        if not self._parts:
            self._make_folder()
        name = f"part-{len(self._parts):05d}.safetensors"
        self._parts.append(name)
        networks = [network for network, _ in self._waiting]
        population = {POPULATION_KEY: str(len(networks))}
        save_tensors(self._folder / name, dict(stack(networks).tensors), {**metadata, **population})
        self._rows += [
            InrRow(
                file=name,
                index=place,
                split=inr.split,
                image=inr.number,
                fit=inr.fit,
                label=self._classes[inr.label],
                psnr=None,
            )
            for place, (_, inr) in enumerate(self._waiting)
        ]
        self._waiting = []

    def _make_folder(self) -> None:
        missing = [path for path in (self._folder, *self._folder.parents) if not path.exists()]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cause = f"cannot be made a folder ({error.strerror})"
            raise DataError(self._folder, cause, "choose another place") from error
        self._made = missing
