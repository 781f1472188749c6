"""Do the tensors of a file fit a module, name for name and shape for shape? Then they are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nfn_cli.architectures.tracing.naming import Held, names_of
from nfn_cli.errors import shown

_UNNEEDED = "num_batches_tracked"  # BatchNorm counts, and computes nothing of it


def difference(module: nn.Module, tensors: Mapping[str, Tensor | Sequence[int]]) -> str | None:
    """The first difference between a module's state dict and a file's tensors, in the module's order; None if they fit.

    Of tied names one is enough, and counts of batches may be missing on either side.

    Args:
        tensors: of the file, or their shapes, by name.
    """
    known: set[str] = set()
    for held in names_of(module).held:
        known.update(held.stored)
        there = [name for name in held.stored if name in tensors]
        if held.stored and not there and not _is_unneeded(held.name):
            return f"the file lacks {shown(held.name)}, which the module has{_tied(held)}"
        for name in there:
            shape = _shape(tensors[name])
            if shape != held.shape:
                sizes = f"{_sizes(shape)} in the file, {_sizes(held.shape)} in the module"
                return f"size mismatch for {shown(name)}: {sizes}"
    extra = next((name for name in tensors if name not in known and not _is_unneeded(name)), None)
    return None if extra is None else f"the file has {shown(extra)}, which the module lacks"


def load_state(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module the tensors of a file, in the module's dtype; one on the meta device takes them as they are.

    Raises:
        ValueError: they do not fit, or tied tensors differ in the file; with the first difference.
    """
    found = difference(module, tensors)
    if found is not None:
        raise ValueError(found)
    state = {}
    for held in names_of(module).held:
        there = [name for name in held.stored if name in tensors]
        for name in there[1:]:
            if not _equal(tensors[there[0]], tensors[name]):
                raise ValueError(f"{shown(name)} is tied to {shown(there[0])} in the module, and another in the file")
        if there:
            state.update({name: tensors[there[0]] for name in held.stored})
    on_meta = any(tensor.is_meta for tensor in module.state_dict().values() if isinstance(tensor, Tensor))
    try:
        module.load_state_dict(state, strict=False, assign=on_meta)
    except Exception as error:  # the module's hooks are the user's code
        raise ValueError(f"it does not take its own state dict ({type(error).__name__})") from error


def _equal(ours: Tensor, theirs: Tensor) -> bool:
    return ours is theirs or (ours.dtype == theirs.dtype and torch.equal(ours.nan_to_num(), theirs.nan_to_num()))


def _shape(value: Tensor | Sequence[int]) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else tuple(value)


def _sizes(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"


def _tied(held: Held) -> str:
    return f" (tied to {', '.join(map(shown, held.stored[1:3]))})" if len(held.stored) > 1 else ""


def _is_unneeded(name: str) -> bool:
    return name.rpartition(".")[2] == _UNNEEDED
