"""The one family of errors that a user may see.

Every room raises these and nothing else for bad input, so that the command line can print one line
(file, cause, remedy) and leave with the documented exit code.

>>> print(CheckpointError("a.pt", "the file is empty", "copy it again"))
a.pt: the file is empty; copy it again
"""

from __future__ import annotations

import os

from nfn_cli.phrases import escaped


class NfnError(Exception):
    """Bad input, told as subject (usually a file), cause and remedy. Exit code 3: nothing could be done."""

    exit_code = 3

    def __init__(self, subject: str | os.PathLike[str], cause: str, remedy: str) -> None:
        self.subject = os.fspath(subject)
        self.cause = cause
        self.remedy = remedy
        super().__init__(self.subject, cause, remedy)

    def __str__(self) -> str:
        # A name or a nested exception may hold line breaks, or characters that command a terminal. The name stays as it
        # is but for these.
        told = " ".join(f"{self.cause}; {self.remedy}".split())
        return escaped(f"{self.subject}: {told}")


class CheckpointError(NfnError):
    """A file could not be read as a checkpoint, or written as one."""


class ArchitectureError(NfnError):
    """The tensors do not form an architecture that nfn understands."""


class HeadError(NfnError):
    """A head could not be loaded, or does not accept a network."""


class DataError(NfnError):
    """Labels, images or a population of networks are unusable."""


class UsageError(NfnError):
    """The command was called in a way that cannot work. Exit code 2."""

    exit_code = 2
