"""What the options of a command tell of networks, and what a command says of how it has read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.cli.options import Pool
from nfn_cli.errors import ArchitectureError, UsageError

if TYPE_CHECKING:
    from nfn_cli.architectures import Told

_MOST_READINGS = 5


def told_by(
    activation: str | None,
    pool: Pool | None,
    omega_0: str | None,
    chain: bool,
    prefix: str | None,
    entry: str | None,
    strict: bool,
) -> Told:
    """The options together.

    Raises:
        UsageError: an unknown activation, or frequencies that are no positive numbers.
    """
    from nfn_cli.architectures import Told, canonical_activation, parsed_frequencies

    if activation is not None:
        try:
            canonical_activation(activation, "--activation")  # wrong for one file is wrong for all
        except ArchitectureError as error:
            raise UsageError(error.subject, error.cause, error.remedy) from error
    frequencies = parsed_frequencies(omega_0) if omega_0 is not None else ()
    return Told(activation, pool.value if pool else None, frequencies, chain, prefix, entry, strict)


def reading_lines(readings: Iterable[tuple[str | None, str | None]]) -> list[str]:
    """Lines for stderr on how networks were read and on what was assumed, each kind of reading once.

    Args:
        readings: of every network, what it was read as and what was assumed; None where there is nothing to say.
    """
    counts = Counter(reading for reading in readings if reading[0] is not None)
    several = sum(counts.values()) > 1
    lines = []
    for (read_as, assumed), count in counts.most_common(_MOST_READINGS):
        files = f" ({count} file{'s' * (count > 1)})" if several else ""
        lines.append(f"read as {read_as}{files}")
        if assumed:
            lines.append(f"assumed: {assumed}")
    if len(counts) > _MOST_READINGS:
        lines.append(f"{len(counts) - _MOST_READINGS} other readings; --format json tells them all")
    return lines
