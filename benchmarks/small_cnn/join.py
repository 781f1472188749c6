"""Join zoos into one, with all runs or with those that `nfn train` holds out; a run gets the name of its zoo."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from halves import rows_of

from nfn_cli.learning import part_of
from nfn_cli.zoo.labels import write_table


def join(arguments: argparse.Namespace) -> None:
    """Write the zoo, with the columns that the tables have in common; files are copied."""
    arguments.out.mkdir(parents=True)
    table: list[dict[str, str]] = []
    for named in arguments.zoos:
        name, _, folder = named.partition("=")
        rows = [{**row, "run": f"{name}-{row['run']}"} for row in rows_of(Path(folder))]
        rows = [row for row in rows if not arguments.held_out or part_of(row["run"], 0) != "train"]
        for file in sorted({row["file"] for row in rows}):
            shutil.copy(Path(folder) / file, arguments.out / f"{name}-{file}")
        table += [{**row, "file": f"{name}-{row['file']}"} for row in rows]
    columns = [column for column in table[0] if all(column in row for row in table)]
    write_table(arguments.out, columns, [{column: row[column] for column in columns} for row in table])
    print(f"{arguments.out}: {len(table)} networks of {len({row['run'] for row in table})} runs")
