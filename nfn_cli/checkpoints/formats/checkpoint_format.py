"""What is known of a checkpoint format before a file is opened. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nfn_cli.checkpoints.formats.reader import Reader


@dataclass(frozen=True)
class CheckpointFormat:
    r"""A format that nfn reads.

    The bytes of a file decide its format: by `certain`, then by the members of a zip archive or by `begins`. Suffixes
    only say which files of a folder are looked at.

    Attributes:
        name: as `nfn inspect` prints it.
        file: of the package `formats`, the module that reads it.
        title: as messages call it, with its article.
        description: one line for the documentation.
        suffixes: of its files, in lower case, each with its dot.
        certain: a regular expression that its first 64 bytes match and those of no other format.
        begins: one that they match, once every format that is certain, and those nfn does not read, are ruled out.
        member: for a zip archive, a regular expression that the name of one of its members matches.
        stored: whether its zip archive is never compressed.
        ordered: whether a file keeps its tensors in the order of the module.
        entries: whether a file may hold several state dicts, of which `--entry` names one.
        sharded: whether it is an index of files of other formats.
        rewritten: whether nfn writes it back, as `nfn canonicalize` does.
    """

    name: str
    file: str
    title: str
    description: str
    suffixes: tuple[str, ...]
    certain: bytes | None = None
    begins: bytes | None = None
    member: str | None = None
    stored: bool = False
    ordered: bool = False
    entries: bool = False
    sharded: bool = False
    rewritten: bool = True

    def reader(self) -> Reader:
        """The module that reads it, which is imported now."""
        module: Any = import_module(f"nfn_cli.checkpoints.formats.{self.file}")
        return module  # type: ignore[no-any-return]
