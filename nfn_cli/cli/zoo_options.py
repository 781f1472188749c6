"""Options of the commands that make zoos."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from nfn_cli.cli.options import INPUT, OUTPUT, SPEED, Device, DeviceOption, QuietOption, ZooOutputOption
from nfn_cli.cli.takes import option


@dataclass(frozen=True, kw_only=True)
class ZooOptions:
    """On what networks are trained, where they go, and how fast."""

    data: Annotated[
        str, option(INPUT, "An .npz archive (x_train, y_train, x_test, y_test), digits, mnist, cifar10, ...")
    ]
    output: ZooOutputOption
    packed: Annotated[bool, option(OUTPUT, "Many networks a file, along a population axis.", "--packed")] = False
    device: DeviceOption = Device.auto
    workers: Annotated[int | None, option(SPEED, "Processes on a CPU. [default: one a core]", min=1)] = None
    group_size: Annotated[
        int | None, option(SPEED, "Networks trained side by side. [default: what suits the device]", min=1)
    ] = None
    quiet: QuietOption = False

    @property
    def processes(self) -> int:
        """As many as were asked for, or as there are cores."""
        return self.workers or os.cpu_count() or 1
