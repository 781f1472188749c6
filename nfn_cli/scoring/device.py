"""Where to compute."""

from __future__ import annotations

import torch

from nfn_cli.errors import UsageError


def resolve_device(name: str) -> str:
    """`auto` becomes the first of cuda, mps and cpu that is there.

    Raises:
        UsageError: a device that this machine, or this build of torch, does not have.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(device for device, there in present.items() if there)
    if not present.get(name, False):
        raise UsageError(f"--device {name}", "this machine has no such device", "use --device auto")
    return name
