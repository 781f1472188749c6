"""A chain as its file stores it: the roles of the file's own tensors, so that the group can act on the file.

The weight space has every BatchNorm folded into its layer; the file keeps it apart. There a neuron's scale belongs to
the BatchNorm's weight and bias. The layer before it and the running statistics are only permuted, and the layer still
reads the scaled neurons before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nfn_cli.architectures.architecture import Architecture, TensorSpec
from nfn_cli.architectures.modules import BatchNorm, Weighted
from nfn_cli.architectures.roles import AxisRole, Side
from nfn_cli.errors import ArchitectureError


def stored_architecture(
    path: Path, architecture: Architecture, modules: Sequence[Weighted], norms: Mapping[str, BatchNorm]
) -> Architecture:
    """The architecture with the file's tensors in place of the weight space's.

    Args:
        modules: in the order of computation.
        norms: the BatchNorm behind each layer, by the layer's name.

    Raises:
        ArchitectureError: a layer under weight normalisation, on whose two tensors the group does not act linearly.
    """
    for module in modules:
        if module.merged:
            cause = f"{module.name} is stored under weight normalisation"
            raise ArchitectureError(path, cause, "remove the parametrization (remove_weight_norm) and save again")
    specs: list[TensorSpec] = []
    for module, spec in zip(modules, architecture.tensors[::2], strict=True):
        norm = norms.get(module.name)
        listed, *others = spec.roles
        group = listed.group
        if norm is not None and group is not None:
            listed = AxisRole(Side.INDEX, group)
        added = replace(listed, bias=listed.side is Side.OUT)
        specs.append(TensorSpec(f"{module.prefix}weight", tuple(module.weight.shape), (listed, *others)))
        if module.bias is not None:
            specs.append(TensorSpec(f"{module.prefix}bias", tuple(module.bias.shape), (added,)))
        if norm is None:
            continue
        index, out = AxisRole(), AxisRole()
        if group is not None:
            index, out = AxisRole(Side.INDEX, group), AxisRole(Side.OUT, group)
        size = (norm.mean.shape[0],)
        specs += [TensorSpec(f"{norm.name}.{part}", size, (index,)) for part in ("running_mean", "running_var")]
        if norm.weight is not None:
            specs.append(TensorSpec(f"{norm.name}.weight", size, (out,)))
        if norm.bias is not None:
            specs.append(TensorSpec(f"{norm.name}.bias", size, (replace(out, bias=group is not None),)))
    return replace(architecture, tensors=tuple(specs))
