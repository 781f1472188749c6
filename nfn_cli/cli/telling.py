"""What the options of a command tell of networks, and what a command says of how it has read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nfn_cli.cli.options import Pool
from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.phrases import files

if TYPE_CHECKING:
    from nfn_cli.architectures import Stated

_MOST_READINGS = 5


def told_by(
    activation: str | None,
    pool: Pool | None,
    omega_0: str | None,
    chain: bool,
    prefix: str | None,
    entry: str | None,
    strict: bool,
) -> Stated:
    """The options together.

    Raises:
        UsageError: an unknown activation, or frequencies that are no positive numbers.
    """
    from nfn_cli.architectures import Stated, canonical_activation, parsed_frequencies

    if activation is not None:
        try:
            canonical_activation(activation, "--activation")  # wrong for one file is wrong for all
        except ArchitectureError as error:
            raise UsageError(error.subject, error.cause, error.remedy) from error
    frequencies = parsed_frequencies(omega_0) if omega_0 is not None else ()
    return Stated(activation, pool.value if pool else None, frequencies, chain, prefix, entry, strict)


def reading_lines(readings: Iterable[tuple[str | None, str | None]]) -> list[str]:
    """Lines for stderr on how networks were read and on what was assumed, each once with a count.

    Args:
        readings: of every network, what it was read as and what was assumed; None where there is nothing to say.
    """
    told = [reading for reading in readings if reading[0] is not None]
    several = len(told) > 1
    as_read = Counter(read_as for read_as, _ in told)
    assumed = Counter(what for _, what in told if what)
    lines = []
    for word, counts in (("read as", as_read), ("assumed:", assumed)):
        for what, count in counts.most_common(_MOST_READINGS):
            lines.append(f"{word} {what}{f' ({files(count)})' if several else ''}")
    left = sum(max(0, len(counts) - _MOST_READINGS) for counts in (as_read, assumed))
    if left:
        lines.append(f"{left} other readings and assumptions; --format json lists them all")
    return lines


def parsed_shape(text: str | None) -> tuple[int, ...] | None:
    """Sizes from `3,32,32` or `3x32x32`.

    Raises:
        UsageError: there are none.
    """
    if text is None:
        return None
    try:
        sizes = tuple(int(size) for size in text.replace("x", ",").split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise UsageError("--input-shape", f"{text!r} is no shape", "write one such as 3,32,32")
    return sizes
