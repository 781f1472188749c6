"""The one family of errors that a user may see.

Every room raises these and nothing else for bad input, so that the command line can print one line
(file, cause, remedy) and leave with the documented exit code.

>>> print(CheckpointError("a.pt", "the file is empty", "copy it again"))
a.pt: the file is empty; copy it again
"""

from __future__ import annotations

import os
import reprlib
from typing import Any

from nfn_cli.phrases import escaped

# Characters of a message's parts, of which what it quotes may come from a file. No system opens a path that is longer.
_LONGEST_SUBJECT = 8_000
_LONGEST = 2_000


class NfnError(Exception):
    """Bad input: a subject (usually a file), a cause and a remedy. Exit code 3: nothing could be done.

    Each is cut in its middle where it is longer than any message needs to be.
    """

    exit_code = 3

    def __init__(self, subject: str | os.PathLike[str], cause: str, remedy: str) -> None:
        self.subject = _cut(os.fspath(subject), _LONGEST_SUBJECT)
        self.cause = _cut(cause, _LONGEST)
        self.remedy = _cut(remedy, _LONGEST)
        super().__init__(self.subject, self.cause, self.remedy)

    def __str__(self) -> str:
        # A name or a nested exception may hold line breaks, or characters that command a terminal. The name stays as it
        # is but for these.
        text = " ".join(f"{self.cause}; {self.remedy}".split())
        return escaped(f"{self.subject}: {text}")


class CheckpointError(NfnError):
    """A file could not be read as a checkpoint, or written as one."""


class ArchitectureError(NfnError):
    """The tensors do not form an architecture that nfn understands."""


class DifferentError(ArchitectureError):
    """Two networks that no group element brings together. Exit code 1: the comparison ran, and they differ."""

    exit_code = 1

    def __init__(self, subject: str | os.PathLike[str], cause: str, remedy: str) -> None:
        super().__init__(subject, f"not the same orbit: {cause}", remedy)


class HeadError(NfnError):
    """A head could not be loaded, or does not accept a network."""


class DataError(NfnError):
    """Labels, images or a population of networks are unusable."""


class UsageError(NfnError):
    """The command was called in a way that cannot work. Exit code 2."""

    exit_code = 2


def shown(value: Any) -> str:
    """A value from a file in few characters, for a message; its whole text is never made.

    >>> shown("relu"), shown(["a" * 1_000] * 1_000)
    ("'relu'", "['aaaaaaaaaaaa...aaaaaaaaaaaaa', 'aaaaaaaaaaaa...aaaaaaaaaaaaa', 'aaaaaaaaaaaa...aaaaaaaaaaaaa', ...]")
    """
    return _cut(_SHORT.repr(value), 200)


def _cut(text: str, longest: int) -> str:
    """The same text, without its middle if it is too long."""
    if len(text) <= longest:
        return text
    end = longest // 3
    return f"{text[: longest - end - 5]} ... {text[len(text) - end :]}"


class _Short(reprlib.Repr):
    """What `repr` gives, of large values in part."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict = 3, 3
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 3

    def repr_int(self, x: int, level: int) -> str:
        # The digits of a large one take time that grows with their square, and Python refuses to write them.
        return repr(x) if x.bit_length() < 128 else f"a whole number of {x.bit_length():,} binary digits"


_SHORT = _Short()
