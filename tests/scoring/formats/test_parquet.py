"""A folder of Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nfn_cli.row_formats import RowFormat
from nfn_cli.scoring import ScoreRow
from nfn_cli.scoring.columns import types_of
from nfn_cli.scoring.formats import growing_format


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a folder, by a reader that is not ours."""
    parquet = pytest.importorskip("pyarrow.parquet")
    return [row for part in sorted(path.iterdir()) for row in parquet.ParquetFile(part).read().to_pylist()]


def test_values_keep_their_types(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    columns = {name: own for name, own in types_of(ScoreRow).items() if name in ("path", "accuracy", "in_distribution")}
    sink = growing_format(RowFormat.parquet).sink(tmp_path / "rows.parquet", columns, replace=False)
    row = {"path": "a.pt", "accuracy": 0.5, "in_distribution": None}
    sink.write([row])
    sink.close()
    assert rows_of(tmp_path / "rows.parquet") == [row]
