"""From a checkpoint to a point in weight space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from nfn_cli.architectures.activations import Activation, resolve_activation
from nfn_cli.architectures.architecture import Architecture, chain
from nfn_cli.architectures.batchnorm import fold, match_norms
from nfn_cli.architectures.foreign import refuse_foreign
from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.modules import BatchNorm, Weighted, gather_modules
from nfn_cli.architectures.order import ordered_layers
from nfn_cli.architectures.stored import stored_architecture
from nfn_cli.architectures.weight_space import WeightSpace
from nfn_cli.checkpoints import Checkpoint


@dataclass(frozen=True)
class ReadNetwork:
    """A network as read.

    Attributes:
        weight_space: its weights, BatchNorm folded.
        activation: what is known of it.
        path: its file.
        modules, norms: as in the file, in the order of computation, and the BatchNorm behind each by its layer's name.
    """

    weight_space: WeightSpace
    activation: Activation
    path: Path
    modules: tuple[Weighted, ...]
    norms: Mapping[str, BatchNorm]

    def stored(self) -> Architecture:
        """The architecture on the file's own tensors, BatchNorm apart, for the group to act on.

        Raises:
            ArchitectureError: a layer under weight normalisation.
        """
        return stored_architecture(self.path, self.weight_space.architecture, self.modules, self.norms)


def read_weight_space(
    checkpoint: Checkpoint,
    *,
    activation: str | None = None,
    default_activation: str | None = None,
    pool: str | None = None,
) -> ReadNetwork:
    """Turn a chain's checkpoint into weight-space tensors.

    Layers are put in order, a missing bias becomes zeros, BatchNorm and weight normalisation are folded in (float64).
    Tensors come out as float64 where the file's weights are float64, else as float32.

    Args:
        activation: overrides what the file says.
        default_activation: taken, as an assumption, where nothing else tells.
        pool: "max", "avg" or "none", over what the file says of pooling.

    Raises:
        ArchitectureError: no chain of known layers, or an unknown activation.
    """
    path = checkpoint.path
    modules = gather_modules(path, checkpoint.tensors)
    weighted = [module for module in modules if isinstance(module, Weighted)]
    norms = [module for module in modules if isinstance(module, BatchNorm)]
    refuse_foreign(path, weighted)
    layers = ordered_layers(path, weighted, in_file_order=checkpoint.ordered)
    in_file = [module.name for module in modules] if checkpoint.ordered else None
    matched = match_norms(path, [module for _, module in layers], norms, in_file)
    # Last: whoever tells the activation of a file that is no chain has told it for nothing.
    known = resolve_activation(checkpoint, activation, default_activation, pool)
    tensors = {}
    for layer, module in layers:
        dtype = torch.float64 if module.weight.dtype == torch.float64 else torch.float32
        weight = module.weight
        bias = weight.new_zeros(weight.shape[0]) if module.bias is None else module.bias
        if layer.name in matched:
            weight, bias = fold(weight, bias, matched[layer.name])
        tensors[f"{layer.name}.weight"] = weight.to(dtype)
        tensors[f"{layer.name}.bias"] = bias.to(dtype)
    architecture = chain(
        [_biased(layer, matched.get(layer.name)) for layer, _ in layers],
        activation=known.name,
        omega_0=known.omega_0,
        pool=known.pool,
        rigid={name for name, norm in matched.items() if norm.weight is None},
    )
    modules_in_order = tuple(module for _, module in layers)
    return ReadNetwork(WeightSpace(architecture, tensors), known, path, modules_in_order, matched)


def _biased(layer: Layer, norm: BatchNorm | None) -> Layer:
    """The layer with the BatchNorm's bias for its own, as the file holds it."""
    return layer if norm is None else replace(layer, has_bias=norm.bias is not None)
