"""Whether a reference module is the network of a file: every name and every shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from nfn_cli.architectures.families.family import Inputs, ReferenceModule, Shapes
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.errors import shown

_OPTIONAL = "num_batches_tracked"  # counts batches; absent in old files, and no part of the function


def difference(module: nn.Module, shapes: Shapes) -> str | None:
    """The first difference between a module's state dict and a file's names and shapes.

    Args:
        module: its tensors may be on the meta device.
        shapes: of the file, by name. BatchNorms' `num_batches_tracked` may be missing.

    Returns:
        One line; None if there is no difference.

    >>> difference(nn.Linear(2, 3), {"weight": (3, 4), "bias": (3,)})
    'weight is [3, 4] in the file and [3, 2] in the network'
    """
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict(keep_vars=True).items()}
    for name, shape in own.items():
        if name not in shapes:
            if name.rpartition(".")[2] == _OPTIONAL:
                continue
            return f"the file has no {name}, which the network has"
        if tuple(shapes[name]) != shape:
            return f"{name} is {shown(list(shapes[name]))} in the file and {list(shape)} in the network"
    more = next((name for name in shapes if name not in own), None)
    return None if more is None else f"the file has {more}, which the network has not"


def fitted(
    family: str,
    make: Callable[[], nn.Module],
    inputs: Callable[[int, torch.device | str], Inputs],
    shapes: Shapes,
    text: Callable[[Any], str] | str,
    assumptions: Callable[[Any], tuple[str, ...]] | tuple[str, ...] = (),
) -> ReferenceModule:
    """A reference module that fits a file, name for name, in evaluation.

    Args:
        family, make, inputs: as in `ReferenceModule`. BatchNorms whose count of batches the file does not have are made
            without.
        shapes: of the file.
        text, assumptions: as there, or functions of the module that tell them.

    Raises:
        Refusal: the module cannot be built, or differs from the file.
    """

    def made() -> nn.Module:
        module = make()
        for name, part in module.named_modules():
            if isinstance(part, nn.BatchNorm2d) and f"{name}.{_OPTIONAL}" not in shapes:
                part.num_batches_tracked = None
        return module.eval()

    try:
        with torch.device("meta"):
            module = made()
    except Refusal as refusal:
        raise Refusal(f"by its names it is {family}, but {refusal.cause}", refusal.remedy) from None
    except (ValueError, RuntimeError, TypeError, ArithmeticError):
        # What torch says to sizes that no layer can have.
        raise Refusal(f"by its names it is {family}, but no such network has its sizes") from None
    if (found := difference(module, shapes)) is not None:
        raise Refusal(f"by its names it is {family}, but {found}")
    return ReferenceModule(
        family=family,
        text=text if isinstance(text, str) else text(module),
        make=made,
        inputs=inputs,
        assumptions=assumptions if isinstance(assumptions, tuple) else assumptions(module),
    )
