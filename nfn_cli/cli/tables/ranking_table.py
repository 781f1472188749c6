"""A ranking laid out for people."""

from __future__ import annotations

from collections.abc import Iterable

from nfn_cli.cli.tables.columns import Columns, rows_table
from nfn_cli.cli.tables.layout import Column, Table
from nfn_cli.cli.tables.predictions_table import PREDICTED
from nfn_cli.scoring import RankRow

_COLUMNS: Columns = {Column("rank", right=True): lambda row: str(row.rank), **PREDICTED}


def ranking_table(rows: Iterable[RankRow]) -> Table:
    """One line a network, the best first."""
    return rows_table(rows, _COLUMNS)
