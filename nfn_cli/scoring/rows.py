"""What a row says of the file that it was made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stamp:
    """What shows whether a file has changed since it was scored.

    Attributes:
        bytes: its size.
        modified: nanoseconds since 1970 for a file of this machine; what a store calls the file's version.
        hash: SHA-256 of its contents, where that was asked for.
    """

    bytes: int
    modified: str
    hash: str | None = None

    def same_as(self, other: Stamp) -> bool:
        """Whether they are of one state of a file: of equal contents where both tell, else of equal size and time."""
        if self.hash is not None and other.hash is not None:
            return self.hash == other.hash
        return (self.bytes, self.modified) == (other.bytes, other.modified)
