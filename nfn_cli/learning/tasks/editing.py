"""Heads that edit implicit neural representations: from zoos of them, without pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nfn_cli.errors import DataError
from nfn_cli.learning.edit_report import EditReport, measure_editor
from nfn_cli.learning.editor_card import editor_card
from nfn_cli.learning.editor_fit import EditFit, editor_stages
from nfn_cli.learning.fitting import Stage
from nfn_cli.learning.settings import EvaluateSettings, TrainSettings
from nfn_cli.learning.tasks.task import InrTask, Parts, require_part
from nfn_cli.nn.inr.sine_chain import require_sine_picture
from nfn_cli.nn.kinds import sizes_of
from nfn_cli.nn.names import EDITS
from nfn_cli.nn.tasks.editing import EditDetails
from nfn_cli.zoo import LabelledNetworks

_FEWEST = 8


@dataclass(frozen=True)
class EditSettings(TrainSettings[EditReport]):
    """How to fit a head that edits, see `TrainSettings`.

    Attributes:
        edit: a name in `EDITS`.
        picture: height and width of the pictures that the INRs were fitted to, in pixels.
        count: training networks to use, the first ones; None takes all.
        test_count: test networks to measure on, the first ones.
    """

    task = "edit-inr"

    kind: str | None = "function-editor"
    fit: EditFit = field(default_factory=EditFit)
    edit: str = "dilate"
    picture: tuple[int, int] = (28, 28)
    count: int | None = 4_000
    test_count: int | None = 500


class EditLearning(InrTask[EditSettings, EditReport]):
    """`nfn train-editor`, and `nfn evaluate-inr` for heads that edit."""

    settings = EditSettings
    measure = staticmethod(measure_editor)
    card = staticmethod(editor_card)

    def read_other(self, folder: Path, settings: EditSettings | EvaluateSettings, activation: str) -> LabelledNetworks:
        """See `LearningTask`.

        Raises:
            DataError: an editor flags nothing.
        """
        raise DataError(folder, "a head that edits flags no networks", "leave it out")

    def parts(self, networks: LabelledNetworks, settings: EditSettings, data: Path) -> tuple[Parts, EditSettings]:
        """See `LearningTask`; nothing is held out.

        Raises:
            DataError: too few networks.
            HeadError: networks that are no pictures in sine networks.
        """
        require_sine_picture(networks.point.architecture)
        train, test = networks.part("train"), networks.part("test")
        parts = Parts(train.first(settings.count), networks.select([]), test.first(settings.test_count))
        require_part(parts.train, "train", _FEWEST, data)
        require_part(parts.test, "test", _FEWEST, data)
        return parts, settings

    def usual_sizes(self, settings: EditSettings) -> Any:
        """See `LearningTask`."""
        assert settings.kind is not None
        return sizes_of(settings.kind, context=EDITS[settings.edit].context)

    def details(self, settings: EditSettings, train: LabelledNetworks) -> EditDetails:
        """See `LearningTask`."""
        return EditDetails(settings.edit, settings.picture)

    def facts(self, settings: EditSettings, networks: LabelledNetworks, parts: Parts) -> dict[str, Any]:
        """See `LearningTask`."""
        return {"networks": len(parts.train)}

    def made_of(self, settings: EditSettings) -> dict[str, Any]:
        """See `LearningTask`."""
        return {"edit": settings.edit, "picture size": settings.picture, "count": settings.count}

    def stages(self, model: Any, parts: Parts, settings: EditSettings, device: str) -> list[Stage]:
        """See `LearningTask`."""
        return editor_stages(model, parts.train, settings.edit, settings.picture, settings.fit, device)
