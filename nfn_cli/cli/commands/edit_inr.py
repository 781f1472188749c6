"""`nfn edit-inr`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from nfn_cli.cli.destinations import Destination, RewriteOptions, planned
from nfn_cli.cli.many_files import write_all
from nfn_cli.cli.options import HEAD, ActivationOption, Device, DeviceOption, Edit, head_option
from nfn_cli.cli.takes import option, takes
from nfn_cli.errors import UsageError
from nfn_cli.phrases import assumption
from nfn_cli.shipped import EDIT


@dataclass(frozen=True)
class EditedRow:
    """One file edited.

    Attributes:
        change: of the weights, ‖new − old‖ / ‖old‖.
        assumed: what nothing tells of the network.
    """

    path: str
    output: str
    change: float | None = None
    head: str | None = None
    assumed: str | None = None
    error: str | None = None


@takes
def edit_inr(
    options: RewriteOptions,
    edit: Annotated[Edit | None, option(HEAD, "What to do to the picture. [default: what --head does]")] = None,
    head: Annotated[str | None, head_option(EDIT, help="the shipped head for the edit that reads the network")] = None,
    gamma: Annotated[float, option(HEAD, "How much of the edit.")] = 1.0,
    activation: ActivationOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Edit the pictures in INRs, by their weights alone.

    The new file has the layout, names and dtype of the old one. Acting on a network by its symmetries and editing it
    commute.

    Examples:
        nfn edit-inr digit.safetensors --edit dilate -o thicker.safetensors
        nfn edit-inr inrs/ --edit contrast --gamma 0.5 -o edited/
    """
    options.check()
    if edit is None and head is None:
        raise UsageError("--edit", "no edit is named", f"give {', '.join(own.value for own in Edit)}, or --head")
    if not math.isfinite(gamma):
        raise UsageError("--gamma", f"{gamma:g} is no amount", "give a number, such as 1")

    from nfn_cli.cli.tables.edited_table import edited_table
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.scoring.editing import EditHeads, edit_checkpoint

    heads = EditHeads(edit.value if edit else None, head, resolve_device(device.value))
    plan = planned(options.paths, options.output)

    def work(each: Destination) -> EditedRow:
        done = edit_checkpoint(each.source, each.target, heads, gamma, activation, overwrite=options.overwrite)
        return EditedRow(str(each.source), str(each.target), done.change, done.head, done.assumed)

    def notes(rows: Sequence[EditedRow]) -> list[str]:
        counts = Counter(row.assumed for row in rows if row.assumed)
        return [assumption(what, count) for what, count in counts.items()]

    write_all(plan, work, EditedRow, edited_table, options, stage="editing", notes=notes)
