"""Facts about heads from their folders: their task, what they read, and the figures of their cards.

No torch here: the command line lists heads at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from nfn_cli.errors import HeadError, NfnError
from nfn_cli.records import read_text, read_yaml
from nfn_cli.shipped import PREDICT, models_folder, shipped_heads

_LARGEST_CARD = 1 << 20  # bytes
_MEASURED = "## Measured on "
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?)(%?)")


@dataclass(frozen=True)
class HeadCard:
    """One head.

    Attributes:
        task: the command that it serves, such as `predict-accuracy`.
        kind: such as `monomial-probe`. does: of a head that edits, the edit.
        reads: activation and layers of the networks that it reads, of any hidden widths; or any classifier.
        figures: of the card's table of measurements, by name; shares are between 0 and 1.
    """

    name: str
    task: str | None = None
    kind: str | None = None
    does: str | None = None
    reads: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None

    @property
    def path(self) -> str:
        """The name, by which messages on files call it."""
        return self.name


def head_card(name: str) -> HeadCard:
    """The facts of a head: a shipped one by name, or one in a folder.

    Raises:
        HeadError: there is no such head, or its configuration cannot be read.
    """
    folder = models_folder() / name if name in shipped_heads() else Path(name)
    remedy = "give a head's folder, or a name that `nfn heads` lists"
    try:
        record = read_yaml(folder / "config.yaml")
        reads = _reads(record["accepts"])
        task, kind = str(record.get("task", PREDICT)), str(record["kind"])
    except (OSError, ValueError) as error:
        raise HeadError(name, "no head's folder: its config.yaml cannot be read", remedy) from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise HeadError(name, "its config.yaml is no head's", remedy) from error
    does = record.get("edit")
    return HeadCard(name, task, kind, None if does is None else str(does), reads, _figures(folder / "README.md"))


def _reads(accepts: Mapping[str, Any]) -> str:
    """Such as `relu, 3 conv 3x3, linear, from 1 to 10`."""
    if accepts == {"any": "classifier"}:
        return "any classifier of pictures"
    layers = accepts["layers"]
    kinds = [" ".join([str(layer["kind"]), "x".join(map(str, layer["kernel"]))]).strip() for layer in layers]
    counted = [(kind, len(list(alike))) for kind, alike in groupby(kinds)]
    words = [kind if count == 1 else f"{count} {kind}" for kind, count in counted]
    return ", ".join([str(accepts["activation"]), *words, f"from {layers[0]['inputs']} to {layers[-1]['outputs']}"])


def _figures(card: Path) -> dict[str, float]:
    """The numbers of the first table below the card's heading on measurements; none where it has no such table."""
    try:
        text = read_text(card, _LARGEST_CARD)
    except (OSError, ValueError, NfnError):
        return {}
    figures: dict[str, float] = {}
    for line in text.partition(_MEASURED)[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if figures and not cells:
            break
        found = _NUMBER.match(cells[1]) if len(cells) > 1 else None
        if found:
            figures[cells[0]] = float(found[1]) / (100 if found[2] else 1)
    return figures
