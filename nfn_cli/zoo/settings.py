"""What the settings of every kind of zoo have in common: two sittings of one zoo must share them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar


class ZooSettingsBase:
    """A frozen dataclass of plain values derives from this.

    Attributes:
        data: image set, see `load_images`.
        packed: whether files hold many networks each.
        recipe: what `zoo.yaml` calls this kind of zoo.
        growing: the fields that a later sitting may change.
        unsaid: values of fields that older records do not hold.
    """

    recipe: ClassVar[str]
    growing: ClassVar[tuple[str, ...]]
    unsaid: ClassVar[Mapping[str, Any]] = {}
    data: str
    packed: bool

    def record(self) -> dict[str, Any]:
        """Plain values for `zoo.yaml`, in its order. An image set may move, so its bare name stands there."""
        values = asdict(self) | {"data": Path(self.data).name}  # type: ignore[call-overload]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
