"""From a checkpoint to a point in weight space."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nfn_cli.architectures.activations import Activation, resolve_activation
from nfn_cli.architectures.architecture import chain
from nfn_cli.architectures.batchnorm import fold, match_norms
from nfn_cli.architectures.foreign import refuse_foreign
from nfn_cli.architectures.modules import BatchNorm, Weighted, gather_modules
from nfn_cli.architectures.order import ordered_layers
from nfn_cli.architectures.weight_space import WeightSpace
from nfn_cli.checkpoints import Checkpoint


@dataclass(frozen=True)
class ReadNetwork:
    """A network as read: its weights, and what is known of its activation."""

    weight_space: WeightSpace
    activation: Activation


def read_weight_space(
    checkpoint: Checkpoint, *, activation: str | None = None, default_activation: str | None = None
) -> ReadNetwork:
    """Turn a chain's checkpoint into weight-space tensors.

    Layers are put in order, a missing bias becomes zeros, BatchNorm and weight normalisation are folded in (float64).
    Tensors come out as float64 where the file's weights are float64, else as float32.

    Args:
        activation: overrides what the file says.
        default_activation: taken, as an assumption, where nothing else tells.

    Raises:
        ArchitectureError: no chain of known layers, or an unknown activation.
    """
    path = checkpoint.path
    known = resolve_activation(checkpoint, activation, default_activation)
    modules = gather_modules(path, checkpoint.tensors)
    weighted = [module for module in modules if isinstance(module, Weighted)]
    norms = [module for module in modules if isinstance(module, BatchNorm)]
    refuse_foreign(path, weighted)
    layers = ordered_layers(path, weighted, in_file_order=checkpoint.ordered)
    in_file = [module.name for module in modules] if checkpoint.ordered else None
    matched = match_norms(path, [module for _, module in layers], norms, in_file)
    tensors = {}
    for layer, module in layers:
        dtype = torch.float64 if module.weight.dtype == torch.float64 else torch.float32
        weight = module.weight
        bias = weight.new_zeros(weight.shape[0]) if module.bias is None else module.bias
        if layer.name in matched:
            weight, bias = fold(weight, bias, matched[layer.name])
        tensors[f"{layer.name}.weight"] = weight.to(dtype)
        tensors[f"{layer.name}.bias"] = bias.to(dtype)
    architecture = chain([layer for layer, _ in layers], activation=known.name, omega_0=known.omega_0, pool=known.pool)
    return ReadNetwork(WeightSpace(architecture, tensors), known)
