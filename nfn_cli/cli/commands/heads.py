"""`nfn heads`."""

from __future__ import annotations

import sys
from typing import Annotated

from nfn_cli.cli.failures import leave_with
from nfn_cli.cli.options import FormatOption, heads_of
from nfn_cli.cli.takes import argument, takes
from nfn_cli.errors import HeadError


@takes
def heads(
    names: Annotated[
        list[str] | None,
        argument("HEAD", "Heads' names or folders. [default: all shipped heads]", autocompletion=heads_of()),
    ] = None,
    format: FormatOption = None,
) -> None:
    """List heads: their tasks, figures, and what they read.

    The figures are those of each head's model card; --format json gives all of them. A head reads networks of its
    layers and activation, of any hidden widths.

    Examples:
        nfn heads
        nfn heads my-head --format json
    """
    from nfn_cli.cli.output import write_rows
    from nfn_cli.cli.tables.heads_table import heads_table
    from nfn_cli.head_cards import HeadCard, head_card
    from nfn_cli.shipped import CLASSIFY, EDIT, PREDICT, shipped_heads

    tasks = (PREDICT, CLASSIFY, EDIT)
    rows = []
    for name in names or shipped_heads():
        try:
            rows.append(head_card(name))
        except HeadError as error:
            rows.append(HeadCard(name, error=str(error)))
    if not names:
        rows.sort(key=lambda row: tasks.index(row.task) if row.task in tasks else len(tasks))
    write_rows(rows, HeadCard, heads_table, format, sys.stdout)
    leave_with(rows)
