"""Replace the files of a sharded checkpoint together, so that the old and the new network are never read as a mixture.

All files are written aside first, each in the folder of the one whose place it takes, and brought to the disk. Then a
journal is written beside the index that lists the renames, then they are done, then the journal goes. Where the process
ends before the journal is there, the old network is whole; after it, whoever opens the checkpoint next finishes the
renames (`settle`) or refuses, so that the new one is. No torch here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from nfn_cli.checkpoints.atomic import ASIDE, hidden, synced_each, write_text_atomically
from nfn_cli.checkpoints.printable import printable
from nfn_cli.checkpoints.shard_index import is_below, is_index, read_weight_map
from nfn_cli.checkpoints.sniff import sniff
from nfn_cli.errors import CheckpointError, DataError
from nfn_cli.folders import held, make_folder, remove_empty

JOURNAL = ".nfn-renames.json"
_LARGEST = 1 << 24  # bytes
_ABOUT = "nfn was replacing these files when it was stopped. It goes on when it next opens this checkpoint."

Result = TypeVar("Result")
# A file, with its device, number, size, and when it was written; with nothing where it could not be asked.
Stamped = tuple[Path, tuple[int, ...]]


@dataclass(frozen=True)
class _Rename:
    """A file that was written aside, and its place.

    Attributes:
        aside, place: POSIX paths from the journal's folder.
        size, written: bytes, and nanoseconds: the new file has these, and the old one has not.
    """

    aside: str
    place: str
    size: int
    written: int


class Together:
    """The files that are to be replaced together, see `replaced_together`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[Path, Path] = {}  # by the file written aside, its place; in the order of the renames
        self._made: list[Path] = []

    def write(self, file: Path, write: Callable[[Path], Result]) -> Result:
        """Have a file written aside: `write` makes a new file of the name that it is given.

        Args:
            file: the place; its folder is made if need be.
        """
        self._made = [*make_folder(file.parent), *self._made]
        place = Path(os.path.realpath(file))
        if not place.is_relative_to(self._root):
            cause = "a link that leads out of the folder of the index"
            raise CheckpointError(file, cause, "put the file itself there, or write elsewhere")
        fresh = hidden(place, ".new")
        self._files[fresh] = place
        try:
            return write(fresh)
        except CheckpointError as error:
            if error.subject != str(fresh):
                raise
            raise CheckpointError(file, error.cause, error.remedy) from error

    def rename(self) -> None:
        """Give all files their places.

        Raises:
            CheckpointError: none got its place; or some did, and the journal stays for the next who opens it.
        """
        try:
            renames = []
            for fresh, place in self._files.items():
                if place.exists():
                    fresh.chmod(place.stat().st_mode & 0o777)
                status = fresh.stat()
                own, to = (path.relative_to(self._root).as_posix() for path in (fresh, place))
                renames.append(_Rename(own, to, status.st_size, status.st_mtime_ns))
            for folder in {fresh.parent for fresh in self._files}:
                _sync(folder)
            record = {"about": _ABOUT, "renames": [asdict(rename) for rename in renames]}
            write_text_atomically(self._root / JOURNAL, json.dumps(record, indent=1) + "\n")
            _sync(self._root)
        except OSError as error:
            raise CheckpointError(self._root, f"cannot be written to ({error.strerror})", "write elsewhere") from error
        try:
            try:
                _finish(self._root, renames)
            except KeyboardInterrupt:
                _finish(self._root, renames)  # some renames: what is begun is brought to its end
                raise
        except OSError as error:
            if all(os.path.lexists(fresh) for fresh in self._files):
                cause, remedy = f"its files cannot be replaced ({error.strerror})", "write elsewhere"
            else:
                cause = f"its files are replaced only in part ({error.strerror}; see {JOURNAL} there)"
                remedy = "mend that, and open it with nfn again, which finishes it first"
            raise CheckpointError(self._root, cause, remedy) from error

    def take_back(self) -> None:
        """Remove what was written aside, unless renames have begun."""
        journal = self._root / JOURNAL
        if os.path.lexists(journal):
            if not all(os.path.lexists(fresh) for fresh in self._files):
                return
            journal.unlink()
        for fresh in self._files:
            fresh.unlink(missing_ok=True)
        remove_empty(self._made)


@contextmanager
def replaced_together(index: Path) -> Iterator[Together]:
    """Write an index and its shards aside in the block, and give them their places at its end.

    A block that fails leaves everything as it was, and nothing beside it. Meanwhile the index's folder is held.

    Raises:
        CheckpointError: another run holds the folder, or a file cannot be written. Where the system fails between two
            renames, the message says so, and `settle` finishes them later.
    """
    root = Path(os.path.realpath(index.parent))
    try:
        with held(root) as alone, synced_each():
            _settle_held(root)
            if alone:
                _remove_left(root)
            together = Together(root)
            try:
                yield together
                together.rename()
            except BaseException:
                with suppress(OSError):
                    together.take_back()
                raise
    except DataError as error:
        raise CheckpointError(error.subject, error.cause, error.remedy) from error


def settle(folder: Path) -> None:
    """Finish the renames in a folder that a process, which is gone, has begun.

    Raises:
        CheckpointError: it is not gone, or they cannot be finished.
    """
    if not os.path.lexists(folder / JOURNAL):
        return
    root = Path(os.path.realpath(folder))
    try:
        with held(root):
            _settle_held(root)
    except DataError as error:
        raise CheckpointError(folder, "a checkpoint in it is being replaced", "try again once that is done") from error


def stamped(file: Path) -> Stamped:
    """A file, and what shows later whether it has been replaced or written to."""
    try:
        status = os.stat(file)
    except (OSError, ValueError):  # reading it will say why
        return file, ()
    return file, stamp(status)


def stamp(status: os.stat_result) -> tuple[int, ...]:
    """What differs between a file and one that has replaced it, and changes when the file is written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def changed_since(path: Path) -> CheckpointError:
    """What to raise where a file is no longer what was read from it."""
    return CheckpointError(path, "the file has changed since it was read", "try again once nothing writes it")


def changed(files: Iterable[Stamped]) -> Path | None:
    """The first of these files that has been replaced or written to, or is about to be; None if none is."""
    for file, stamp in files:
        if stamped(file) != (file, stamp) or os.path.lexists(file.parent / JOURNAL):
            return file
    return None


def _settle_held(root: Path) -> None:
    journal = root / JOURNAL
    if not os.path.lexists(journal):
        return
    renames = _read(root, journal)
    try:
        _finish(root, renames)
    except OSError as error:
        cause = f"the replacement of its files was cut short, and cannot be finished ({error.strerror}; see {JOURNAL})"
        raise CheckpointError(root, cause, "mend that, and open it with nfn again") from error


def _remove_left(root: Path) -> None:
    """Remove what a process that was killed has written aside; nobody else is writing, and no renames wait for it."""
    with suppress(OSError):
        for name in filter(ASIDE.fullmatch, os.listdir(root)):
            with suppress(OSError):
                (root / name).unlink()


def _finish(root: Path, renames: Sequence[_Rename]) -> None:
    """Do the renames of a journal that are not done, and remove it. May be called again.

    Raises:
        OSError: the system does not let one be done; the journal stays.
        CheckpointError: a new file is neither aside nor in its place.
    """
    for rename in renames:  # all of them, before the first is done
        aside = root / rename.aside
        new = aside if os.path.lexists(aside) else root / rename.place
        status = os.stat(new) if os.path.lexists(new) else None
        if status is None or (status.st_size, status.st_mtime_ns) != (rename.size, rename.written):
            cause = f"was being replaced, and the new '{printable(rename.place)}' is lost (see {JOURNAL} there)"
            raise CheckpointError(root, cause, f"put the whole checkpoint there anew, and remove {JOURNAL}")
    for rename in renames:
        with suppress(FileNotFoundError):  # done before
            os.replace(root / rename.aside, root / rename.place)
    for folder in {(root / rename.place).parent for rename in renames}:
        _sync(folder)
    (root / JOURNAL).unlink(missing_ok=True)


def _read(root: Path, journal: Path) -> list[_Rename]:
    """The renames of a journal: of an index beside it and of the shards that this index names, each from a file that
    was written aside in the same folder. What is there is a checkpoint's, too: no other file is ever replaced.

    Raises:
        CheckpointError: it lists anything else. A journal may come from anywhere.
    """
    try:
        if not os.path.isfile(journal) or os.path.islink(journal) or journal.stat().st_size > _LARGEST:
            raise ValueError("no file of this kind")
        listed: Any = json.loads(journal.read_text(encoding="utf-8"))["renames"]
        renames = [_Rename(*(own[name] for name in ("aside", "place", "size", "written"))) for own in listed]
        for rename in renames:
            folder, _, name = rename.aside.rpartition("/")
            allowed = is_below(rename.aside) and is_below(rename.place) and ASIDE.fullmatch(name) is not None
            if not allowed or folder != rename.place.rpartition("/")[0] or rename.place == JOURNAL:
                raise ValueError(f"'{printable(rename.aside)}' to '{printable(rename.place)}'")
            # No link on the way, and none in either place.
            for path in (root / rename.aside, root / rename.place):
                if os.path.realpath(path) != str(path) or os.path.isdir(path):
                    raise ValueError(f"'{printable(path.name)}' is no plain file")
        _require_one_checkpoint(root, renames)
    except (CheckpointError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        cause = f"not a list of files that nfn was replacing ({printable(error)})"
        raise CheckpointError(journal, cause, "do not trust this checkpoint, or remove that file") from error
    return renames


def _require_one_checkpoint(root: Path, renames: Sequence[_Rename]) -> None:
    """
    Raises:
        ValueError, CheckpointError: the renames are not those of an index and all its shards, or a file of another kind
            is in such a place.
    """
    *shards, last = renames
    index = root / last.place
    if not is_index(index) or "/" in last.place or len({rename.aside for rename in renames}) < len(renames):
        raise ValueError("not of one index and its shards")
    aside = root / last.aside
    named = set(read_weight_map(aside if os.path.lexists(aside) else index).values())
    places = [str(root / rename.place) for rename in shards]
    # A shard may be a link to the file that is replaced.
    if not all(map(is_below, named)) or sorted(places) != sorted({os.path.realpath(root / shard) for shard in named}):
        raise ValueError("not the shards that its index names")
    for rename in renames:
        if os.path.lexists(root / rename.aside) and os.path.lexists(root / rename.place):
            sniff(root / rename.place)


def _sync(folder: Path) -> None:
    """Bring a folder's listing to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
