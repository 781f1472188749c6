"""Other numbers for a network, given back as what the caller gave: a module, or a state dict."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn

from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.given import Network

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


def given_back(network: Network, source: AnySource, tensors: Mapping[str, Tensor]) -> nn.Module | dict[str, Tensor]:
    """For a module a deep copy with other numbers; otherwise a state dict with the names and devices of the given one.

    Args:
        network, source: as given, and as read.
        tensors: the new ones, by the names that `source` has for them; all others are copied.

    Raises:
        CheckpointError: the module does not take its own tensors.
    """
    checkpoint = source.checkpoint
    new = {checkpoint.stripped + name: tensors[name] for name in tensors}
    if isinstance(network, nn.Module):
        return _with_tensors(network, new)
    if isinstance(network, Mapping):
        return {
            name: new[name].to(old.device) if name in new else old.detach().clone()
            for name, old in network.items()
            if isinstance(old, Tensor)
        }
    named = {checkpoint.stripped + name: name for name in checkpoint.tensors}
    return {name: new[name] if name in new else checkpoint.tensors[own].clone() for name, own in named.items()}


def _with_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A deep copy of a module with other numbers in some of its tensors."""
    from nfn_cli.architectures.tracing.user_module import unwrapped

    try:
        new = copy.deepcopy(module)
        unwrapped(new).load_state_dict(tensors, strict=False)
    except Exception as error:  # the module's methods are the user's code
        cause = f"it does not take its own tensors ({type(error).__name__}: {error})"
        raise CheckpointError(type(module).__name__, cause, "give its state dict") from error
    return new
