"""Heads that edit implicit neural representations: from zoos of them, without pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from nfn_cli.errors import DataError
from nfn_cli.learning.card import CardParts, option, parameters_of
from nfn_cli.learning.edit_report import EditReport, measure_editor
from nfn_cli.learning.editor_fit import EditFit, editor_stages
from nfn_cli.learning.fitting import Stage
from nfn_cli.learning.settings import EvaluateSettings, TrainSettings
from nfn_cli.learning.tasks.task import InrTask, Parts, require_part
from nfn_cli.nn import Head, kind_of
from nfn_cli.nn.inr.function_editor import FunctionEditorSizes
from nfn_cli.nn.inr.sine_chain import require_sine_picture
from nfn_cli.nn.kinds import sizes_of
from nfn_cli.nn.names import EDITS
from nfn_cli.nn.tasks.editing import EditDetails
from nfn_cli.precision import has_float64
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

    def stages(self, model: Any, train: LabelledNetworks, settings: EditSettings, device: str) -> list[Stage]:
        """See `LearningTask`."""
        return editor_stages(model, train, settings.edit, settings.picture, settings.fit, device)

    def measure(
        self,
        head: Head,
        networks: LabelledNetworks,
        settings: EvaluateSettings,
        others: Mapping[str, LabelledNetworks],
        on_stage: Callable[[str], None],
    ) -> EditReport:
        """See `LearningTask`; in float64 where the device can."""
        device = next(head.model.parameters()).device.type
        return measure_editor(
            head.to(torch.float64) if has_float64(device) else head, networks, settings, on_stage=on_stage
        )

    def card(self, head: Head, report: EditReport) -> CardParts:
        """See `LearningTask`."""
        fitted, details, sizes = head.config.fitted, head.config.details, head.config.sizes
        height, width = details.picture
        solves = isinstance(sizes, FunctionEditorSizes)
        tuning = f", then {fitted['tuning']} steps on the solver's numbers" if solves else ""
        gain = report.before.value / report.after.value if report.after.value > 0 else float("inf")
        (edited, error), (unedited, before) = report.figures()
        return CardParts(
            does=f"""Edits implicit neural representations: from the weights of a network to those of a network that
shows
the edited picture. It {EDITS[details.edit].description}.

**Kind**: {head.config.kind.title}, {parameters_of(head)}.""",
            reads=f"""It looks at them as pictures of {height}×{width} pixels.

{_solving(sizes) if solves else _ONE_PASS}""",
            data=f"""Fitted to {fitted["networks"]:,} networks ({fitted["data"]}) for {fitted["epochs"]} epochs{tuning}.
The target is the edit of the picture that the unedited network shows, at its own size, so no images are needed.""",
            measured=f"{report.networks:,} networks of {report.pictures:,} test pictures",
            method="""Mean squared errors against the edited picture, for values in [0, 1] (for values in [-1, 1]
they are
four times as large); 95 % intervals by bootstrap over pictures.""",
            columns=("", ""),
            figures=[
                (edited, error),
                (unedited, f"{before} ({gain:.0f} times as much)"),
                ("PSNR of the edited networks", f"{report.psnr:.1f} dB"),
                ("change of the weights, of their norm", f"{report.change:.1%}"),
                ("processor time", f"{report.seconds:.3f} s a network"),
            ],
            notes=f"""Editing a transformed network gives the transformed edited network: under random permutations,
signs and
phases of {report.transformed} networks no weight differs by more than {report.weight_drift:.1e} of the network's
largest, no pixel by
more than {report.picture_drift:.1e}.

The error is measured at the pixels; between them, nothing holds the picture but the network's smoothness. What the edit
makes of networks that are no pictures like those of the training part is not known.""",
            commands=_commands(head, report, fitted),
        )


_ONE_PASS = """Equivariant layers read the weights, and what they give is added to these: one forward pass, without
looking at the picture."""


def _solving(sizes: FunctionEditorSizes) -> str:
    return f"""A small convolutional network reads the picture and says what it should become; {sizes.steps}
Levenberg–Marquardt steps, whose damping, rates and metric are learned, move the weights there. So the weights are
*solved for* within every edit, which is more work than the forward pass of an editor made of equivariant layers."""


def _commands(head: Head, report: EditReport, fitted: dict[str, Any]) -> list[str]:
    data, name, details = quote(fitted["data"]), quote(head.name), head.config.details
    height, width = details.picture
    tuning = f" --tuning {fitted['tuning']}" if isinstance(head.config.sizes, FunctionEditorSizes) else ""
    read = option("labels", fitted.get("labels")) + option("activation", fitted.get("activation"))
    return [
        f"nfn train-editor {data} --edit {details.edit} --out {name} --kind {kind_of(head.config.sizes)}"
        f" --size {height} {width} --count {fitted['networks']} --epochs {fitted['epochs']}{tuning}"
        f" --seed {fitted['seed']} --test-count {report.networks}{read}",
        f"nfn evaluate-inr {name} {data} --count {report.networks}{option('seed', fitted['seed'])}{read}",
    ]
