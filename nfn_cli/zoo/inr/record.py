"""What the folder of a zoo of INRs says of itself: its settings in `zoo.yaml`, and which fits are finished."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nfn_cli.checkpoints import write_text_atomically
from nfn_cli.errors import DataError
from nfn_cli.records import yaml_text
from nfn_cli.zoo.inr.labels import InrRow, read_inr_rows
from nfn_cli.zoo.inr.siren import Siren
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.record import SETTINGS_FILE, read_yaml

RECIPE = "siren"
# What two sittings of one zoo may change.
_GROWING = ("count", "test_count", "fits")

# What YAML makes of the settings' types.
_TYPES: dict[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (float, int), "bool": (bool,)}

Fit = tuple[str, int, int]  # split, image, number of the fit


@dataclass(frozen=True)
class InrSettings:
    """What a zoo of INRs is made of. Two sittings with the same settings add up; counts and fits may grow.

    Attributes:
        data: image set, see `load_images`.
        count, test_count: pictures taken from its two parts, drawn at random.
        fits: independent fits to each picture.
        steps, learning_rate: of each fit.
    """

    data: str
    count: int
    test_count: int = 0
    fits: int = 1
    width: int = 32
    hidden_layers: int = 2
    omega_0: float = 30.0
    steps: int = 100
    learning_rate: float = 6e-3
    seed: int = 0
    packed: bool = False

    def siren(self, channels: int) -> Siren:
        """The architecture for pictures of so many channels."""
        return Siren(channels, self.width, self.hidden_layers, self.omega_0)


@dataclass(frozen=True)
class InrState:
    """What a folder holds: the rows of finished fits, and the fits that diverged."""

    rows: list[InrRow] = field(default_factory=list)
    diverged: frozenset[Fit] = frozenset()

    @property
    def finished(self) -> frozenset[Fit]:
        """Fits that need not be made any more."""
        return self.diverged.union((row.split, row.image or 0, row.fit) for row in self.rows)


def write_inr_record(folder: Path, settings: InrSettings, diverged: Iterable[Fit]) -> None:
    """Write `zoo.yaml` in `folder`, replacing it in one step."""
    record = {"recipe": RECIPE, **_plain(settings), "diverged": [list(fit) for fit in sorted(diverged)]}
    write_text_atomically(folder / SETTINGS_FILE, yaml_text(record), overwrite=True)


def read_inr_record(folder: Path) -> dict[str, Any] | None:
    """`zoo.yaml` of a zoo of INRs, None where there is none or it is of another kind.

    Raises:
        DataError: it is damaged.
    """
    record = read_yaml(folder)
    if not isinstance(record, dict) or record.get("recipe") != RECIPE:
        return None
    if not all(type(record.get(own.name)) in _TYPES[str(own.type)] for own in fields(InrSettings)):
        raise DataError(folder / SETTINGS_FILE, "not a zoo's record", "restore it, or remove it")
    return record


def read_inr_state(folder: Path, settings: InrSettings) -> InrState:
    """What `folder` holds of the zoo of `settings`.

    Raises:
        DataError: the folder holds another zoo, or damaged records.
    """
    record = read_yaml(folder)
    if record is None:
        if os.path.exists(folder / LABELS_FILE):
            raise DataError(folder, f"holds a {LABELS_FILE} but no {SETTINGS_FILE}", "choose an empty folder")
        return InrState()
    if not isinstance(record, dict) or record.get("recipe") != RECIPE:
        raise DataError(folder, "holds another kind of zoo", "choose another folder")
    wanted = _plain(settings)
    changed = [name for name, value in wanted.items() if name not in _GROWING and record.get(name) != value]
    if changed:
        raise DataError(folder, f"holds a zoo of another {', '.join(changed)}", "choose another folder")
    try:
        diverged = frozenset((str(split), int(image), int(fit)) for split, image, fit in record["diverged"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(folder / SETTINGS_FILE, "not a zoo's record", "restore it, or remove it") from error
    # Of fits that all diverged, there is a table without a row.
    rows = read_inr_rows(folder / LABELS_FILE, none=True) if os.path.exists(folder / LABELS_FILE) else []
    return InrState(rows, diverged)


def _plain(settings: InrSettings) -> dict[str, Any]:
    return asdict(settings) | {"data": Path(settings.data).name}
