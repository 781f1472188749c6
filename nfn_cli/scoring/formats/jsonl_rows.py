"""JSON Lines: one object a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nfn_cli.scoring.formats.json_rows import json_text
from nfn_cli.scoring.formats.lines import LineFormat
from nfn_cli.scoring.formats.row_format import Record


class JsonLines(LineFormat):
    """See `LineFormat`."""

    def line(self, record: Record, columns: Sequence[str]) -> str:
        """See `LineFormat`."""
        return json_text(record) + "\n"

    def parsed(self, line: str, columns: Sequence[str]) -> Any:
        """See `LineFormat`."""
        return json.loads(line)


FORMAT = JsonLines()
