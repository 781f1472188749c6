"""`nfn families`."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import (
    OUTPUT,
    FormatOption,
    OverwriteOption,
    QuietOption,
    ReadingOptions,
    require_free,
)
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.rewriting import reading_lines
from nfn_cli.cli.scoring_options import InputOptions
from nfn_cli.cli.takes import option, takes
from nfn_cli.phrases import files

if TYPE_CHECKING:
    from nfn_cli.cli.tables.families_table import FamilyRow
    from nfn_cli.symmetry.kinship.family_facts import Families, Root

_MOST_PAIRS = 2_000
_ROOTS = 5  # of which a line is printed
_COUNTED = {
    "copy": ("copy", "copies"),
    "disguised": ("disguised copy", "disguised copies"),
    "rounded": ("rounded copy", "rounded copies"),
    "derived": ("derived network", "derived networks"),
    "stranger": ("stranger", "strangers"),
}


@takes
def families(
    named: InputOptions,
    reading: ReadingOptions,
    most_pairs: Annotated[
        int,
        option(
            "Kinship",
            "Compare so many pairs for kinship, those with the nearest signatures; 0 finds copies alone.",
            min=0,
        ),
    ] = _MOST_PAIRS,
    pairs: Annotated[
        bool, option(OUTPUT, "Show the pairs that were compared, in place of the files.", "--pairs")
    ] = False,
    html: Annotated[Path | None, option(OUTPUT, "Write a page for browsers as well: a tree, a matrix, tables.")] = None,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Sort networks into families of copies and relatives.

    Copies hold the same numbers; disguised ones compute the same function with other weights; rounded ones the same at
    another precision; derived ones come from a common origin. Networks of different architectures are not compared.

    Which network of a family was first is a guess, by the size of the weights. SciPy is needed (nfn-cli[match]).

    Examples:
        nfn families models/
        nfn families models/ --html families.html --format csv
    """
    from nfn_cli.checkpoints import write_text_atomically
    from nfn_cli.cli.output import write_rows
    from nfn_cli.cli.tables.families_table import FamilyRow, PairRow, families_table, pairs_table
    from nfn_cli.scoring import found
    from nfn_cli.symmetry.kinship.families import find_families
    from nfn_cli.symmetry.named_networks import each_network, read_named

    if html is not None:
        require_free(html, overwrite=overwrite)
    inputs = named.inputs()
    stated, tracer = reading.stated(), reading.tracer(gauges=True)
    with interrupt_message(lambda: "nothing was shown"), Progress(quiet=quiet) as progress:
        progress.stage("looking for files")
        networks = list(islice(each_network(found(inputs)), inputs.limit))
        sorted_out = find_families(
            networks, lambda name: read_named(name, stated, tracer), most_pairs=most_pairs, shows=progress
        )
    rows = _rows(sorted_out)
    compared = [
        PairRow(
            own.one,
            own.other,
            own.verdict.value,
            own.cause,
            own.score,
            own.false_positive_rate,
            own.log10_p,
            own.before,
            own.after,
            own.changed,
        )
        for own in sorted_out.pairs
    ]
    if html is not None:
        from nfn_cli.cli.pages.families_page import families_page

        guesses = {root.family: _guess(root) for root in sorted_out.roots}
        page = families_page(rows, compared, _notes(sorted_out)[1:], guesses)
        write_text_atomically(html, page, overwrite=overwrite)
    if pairs:
        write_rows(compared, PairRow, pairs_table, format, sys.stdout)
    else:
        write_rows(rows, FamilyRow, families_table, format, sys.stdout)
    guessed = [f"family {root.family}: {_guess(root)}" for root in sorted_out.roots[:_ROOTS]]
    read = reading_lines((row.read_as, row.assumed) for row in rows)
    leave_with(rows, [*([] if quiet else [*_notes(sorted_out), *guessed]), *read])


def _rows(found: Families) -> list[FamilyRow]:
    """The files by family, then those that failed."""
    from nfn_cli.cli.tables.families_table import FamilyRow

    guesses = {"root": "root", "derived": "direction"}
    rows = [
        FamilyRow(
            own.path,
            own.family,
            own.orbit,
            own.relation.value,
            own.of,
            guesses.get(own.relation.value),
            own.distance,
            own.score,
            own.false_positive_rate,
            str(own.signature),
            own.read_as,
            own.assumed,
        )
        for own in found.members
    ]
    return [*rows, *(FamilyRow(own.path, error=own.error) for own in found.failed)]


def _notes(found: Families) -> list[str]:
    """What holds for all of it, in lines."""
    counts = {kind: sum(own.relation.value == kind for own in found.members) for kind in _COUNTED}
    parts = [f"{count:,} {_COUNTED[kind][count > 1]}" for kind, count in counts.items() if count]
    named = "1 family" if found.count == 1 else f"{found.count:,} families"
    notes = [f"{files(len(found.members))}, {named}" + (f": {', '.join(parts)}" if parts else "")]
    if len(found.pairs) < found.possible:
        notes.append(
            f"{len(found.pairs):,} of {found.possible:,} pairs were compared for kinship, those with the nearest"
            " signatures; relatives that have drifted far apart may be missed (see --most-pairs)"
        )
    rates = [own.false_positive_rate for own in found.pairs if own.verdict.value == "derived"]
    known = [rate for rate in rates if rate is not None]
    if known and len(found.pairs) > 1:
        notes.append(
            f"{len(rates):,} of {len(found.pairs):,} compared pairs are called derived; by the null, strangers are with"
            f" a rate of at most {max(known):.2g} a pair"
        )
    return notes


def _guess(root: Root) -> str:
    if not root.voting:
        return f"that {root.path} is the root is a guess: it stands in the middle, and nothing tells who was first"
    away = f"{root.agreeing} of {root.voting} edges whose direction can be guessed point away from it"
    return f"that {root.path} is the root is a guess: {away}"
