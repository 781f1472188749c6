"""What the model card of a head says that edits INRs."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.learning.card import CardParts, option, parameters_of
from nfn_cli.learning.edit_report import EditReport
from nfn_cli.nn import EDITS, Head, kind_of
from nfn_cli.nn.inr.function_editor import FunctionEditorSizes


def editor_card(head: Head, report: EditReport) -> CardParts:
    """Its parts of the card."""
    fitted, details, sizes = head.config.fitted, head.config.details, head.config.sizes
    height, width = details.picture
    solves = isinstance(sizes, FunctionEditorSizes)
    tuning = f", then {fitted['tuning']} steps on the solver's numbers" if solves else ""
    gain = report.before.value / report.after.value if report.after.value > 0 else float("inf")
    (edited, error), (unedited, before) = report.figures()
    return CardParts(
        does=f"""Edits implicit neural representations: from the weights of a network to those of a network that shows
the edited picture. It {EDITS[details.edit].description}.

**Kind**: {head.config.kind.title}, {parameters_of(head)}.""",
        reads=f"""It looks at them as pictures of {height}×{width} pixels.

{_solving(sizes) if solves else _ONE_PASS}""",
        data=f"""Fitted to {fitted["networks"]:,} networks ({fitted["data"]}) for {fitted["epochs"]} epochs{tuning}.
The target is the edit of the picture that the unedited network shows, at its own size, so no images are needed.""",
        measured=f"{report.networks:,} networks of {report.pictures:,} test pictures",
        method="""Mean squared errors against the edited picture, for values in [0, 1] (for values in [-1, 1] they are
four times as large); 95 % intervals by bootstrap over pictures.""",
        columns=("", ""),
        figures=[
            (edited, error),
            (unedited, f"{before} ({gain:.0f} times as much)"),
            ("PSNR of the edited networks", f"{report.psnr:.1f} dB"),
            ("change of the weights, of their norm", f"{report.change:.1%}"),
            ("processor time", f"{report.seconds:.3f} s a network"),
        ],
        notes=f"""Editing a transformed network gives the transformed edited network: under random permutations, signs
and phases of {report.transformed} networks no weight differs by more than {report.weight_drift:.1e} of the network's
largest, no pixel by more than {report.picture_drift:.1e}.

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
        f"nfn train-editor {data} --edit {details.edit} --output {name} --kind {kind_of(head.config.sizes)}"
        f" --size {height}x{width} --limit {fitted['networks']} --epochs {fitted['epochs']}{tuning}"
        f" --seed {fitted['seed']} --test-count {report.networks}{read}",
        f"nfn evaluate-inr {name} {data} --limit {report.networks}{option('seed', fitted['seed'])}{read}",
    ]
