"""Options of the commands that make zoos."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from nfn_cli.cli.failures import print_note
from nfn_cli.cli.options import INPUT, OUTPUT, SPEED, Device, DeviceOption, QuietOption, ZooOutputOption
from nfn_cli.cli.progress.zoo_progress import zoo_progress
from nfn_cli.cli.takes import option

if TYPE_CHECKING:
    from nfn_cli.zoo import ZooReport


@dataclass(frozen=True, kw_only=True)
class ZooOptions:
    """On what networks are trained, where they go, and how fast."""

    data: Annotated[
        str, option(INPUT, "An .npz archive (x_train, y_train, x_test, y_test), digits, mnist, cifar10, ...")
    ]
    output: ZooOutputOption
    packed: Annotated[bool, option(OUTPUT, "Many networks a file, along a population axis.", "--packed")] = False
    device: DeviceOption = Device.auto
    workers: Annotated[int | None, option(SPEED, "Worker processes. [default: one a core, on a GPU one]", min=1)] = None
    group_size: Annotated[
        int | None, option(SPEED, "Networks trained side by side. [default: what suits the device]", min=1)
    ] = None
    quiet: QuietOption = False

    def processes(self, device: str) -> int:
        """The number asked for, or one a core, and one for a GPU."""
        return self.workers or (os.cpu_count() if device == "cpu" else 1) or 1


def make_zoo(
    settings: Any, options: ZooOptions, work: str, things: str, unit: str, summary: Callable[[ZooReport, float], str]
) -> None:
    """Make a zoo in its folder, or continue it, and say what was made.

    Args:
        settings: of a recipe, see `nfn_cli.zoo.generate_zoo`.
        work, things, unit: see `ZooProgress`.
        summary: in words, from the report and the seconds that it took.
    """
    from nfn_cli.scoring.device import resolve_device
    from nfn_cli.zoo import generate_zoo

    started, device = time.monotonic(), resolve_device(options.device.value)
    with zoo_progress(options.output, work, things, unit, quiet=options.quiet) as progress:
        report = generate_zoo(
            options.output,
            settings,
            device=device,
            workers=options.processes(device),
            group_size=options.group_size,
            on_start=progress.start,
            on_steps=progress.steps,
            on_runs=progress.things,
        )
    if not options.quiet:
        print_note(f"{options.output}: {summary(report, time.monotonic() - started)}")
