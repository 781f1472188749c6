"""Where the files go that a command makes of checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from nfn_cli.cli.options import OUTPUT, Checkpoints, FormatOption, OverwriteOption, QuietOption, require_free
from nfn_cli.cli.takes import Hidden, option
from nfn_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class RewriteOptions:
    """Which files are rewritten, and where the new ones go."""

    paths: Checkpoints
    # As text: a path forgets the separator at its end.
    output: Annotated[
        str,
        option(OUTPUT, "File to write, or folder for several (NAME/ is one).", "--output", "-o", metavar="PATH"),
        Hidden("--out"),
    ]
    format: FormatOption = None
    overwrite: OverwriteOption = False
    skip_existing: Annotated[
        bool, option(OUTPUT, "Skip files that are already written, as after an interrupt.", "--skip-existing")
    ] = False
    quiet: QuietOption = False

    def check(self) -> None:
        """Refuse two options that contradict each other.

        Raises:
            UsageError: both are given.
        """
        if self.skip_existing and self.overwrite:
            raise UsageError("--skip-existing", "contradicts --overwrite", "give one of the two")


@dataclass(frozen=True)
class Destination:
    """One file to write.

    Attributes:
        source: the checkpoint that it is made of.
        target: its own path; of a sharded checkpoint, the index's.
        place: where that is in the output folder; for a single file its name.
        copy: of several copies of one checkpoint the number, from 0 on.
    """

    source: Path
    target: Path
    place: Path
    copy: int = 0


@dataclass(frozen=True)
class Plan:
    """All files to write.

    Attributes:
        folder: the output folder; None where a single file has a name of its own.
    """

    destinations: tuple[Destination, ...]
    folder: Path | None


def planned(inputs: Sequence[Path], out: str, copies: int | None = None) -> Plan:
    """Every checkpoint among the inputs, with the file to write.

    One file goes to `out` itself, or into it where it is a folder; a folder's checkpoints keep their places in it.
    Copies go into a folder: those of `a.pt` are `a-0000.pt` and so on, those of a sharded `model.bin.index.json` are
    files of its names in `model-0000` and so on.

    Raises:
        UsageError: two inputs would go to one file, or the name does not fit what would be written.
        CheckpointError: a folder without a checkpoint.
    """
    from nfn_cli.checkpoints import find_checkpoints, require_folder_name, require_same_format

    if out in ("", "-"):
        raise UsageError(
            "--output", "is no name of a file" if not out else "checkpoints do not go to stdout", "give one"
        )
    path = Path(out)
    one = len(inputs) == 1 and not os.path.isdir(inputs[0]) and copies is None
    if one and not os.path.isdir(path) and not out.endswith(os.sep):
        require_same_format(inputs[0], path)
        return Plan((Destination(inputs[0], path, Path(path.name)),), None)
    require_folder_name(out)
    destinations: dict[Path, Destination] = {}
    for given in inputs:
        for source in find_checkpoints([given]):
            place = source.relative_to(given) if os.path.isdir(given) else Path(source.name)
            for copy in range(copies or 1):
                own = place if copies is None else _numbered(place, copy, copies)
                if own in destinations:
                    cause = f"{'' if copies is None else 'copies of '}both {destinations[own].source} and {source}"
                    raise UsageError(path / own, f"{cause} would go there", "give them one by one")
                destinations[own] = Destination(source, path / own, own, copy)
    return Plan(tuple(destinations.values()), path)


def _numbered(place: Path, copy: int, copies: int) -> Path:
    from nfn_cli.checkpoints.shard_index import is_index

    number = f"{copy:0{max(4, len(str(copies - 1)))}d}"
    if is_index(place):
        return place.parent / f"{stem_of(place)}-{number}" / place.name
    return place.with_name(f"{place.stem}-{number}{place.suffix}")


def stem_of(place: Path) -> str:
    """The name of a checkpoint without its suffixes.

    >>> stem_of(Path("model.safetensors.index.json")), stem_of(Path("v1.0.pt"))
    ('model', 'v1.0')
    """
    from nfn_cli.checkpoints.shard_index import INDEX_SUFFIX, is_index

    if is_index(place):
        place = Path(place.name.removesuffix(INDEX_SUFFIX))
        return place.stem or "model"
    return place.stem


def element_path(folder: Path, destination: Destination) -> Path:
    """Where the element that made a file is saved: in the file's place, as `NAME.element.safetensors`."""
    return folder / destination.place.parent / f"{stem_of(destination.place)}.element.safetensors"


def check_element(path: Path, *, overwrite: bool, target: Path | None = None) -> None:
    """Refuse a file that an element cannot be saved in, before any work.

    Args:
        target: the file that the network itself is written to.

    Raises:
        UsageError: it is that file, exists (without `overwrite`), or has the name of another format.
        CheckpointError: it cannot be written.
    """
    from nfn_cli.checkpoints import require_safetensors_name

    if target is not None and os.path.realpath(path) == os.path.realpath(target):
        raise UsageError(f"--save-element {path}", "is the file that the network is written to", "give another name")
    require_safetensors_name(path)
    require_free(path, overwrite=overwrite)
