"""A chain as its file stores it: the roles of the file's own tensors, so that the group can act on the file.

The weight space has every BatchNorm folded into its layer, or as a scale and a shift; the file keeps it apart. Directly
behind a layer, a neuron's scale belongs to the BatchNorm's weight and bias: the layer before it and the running
statistics are only permuted, and the layer still reads the scaled neurons before it. Behind the activation the neurons
come scaled, so the mean and the bias are scaled as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nfn_cli.architectures.architecture import Architecture, TensorSpec
from nfn_cli.architectures.layer import Stage, StageKind
from nfn_cli.architectures.modules import BatchNorm, Norm, Weighted
from nfn_cli.architectures.roles import AxisRole, Side
from nfn_cli.errors import ArchitectureError


def stored_architecture(
    path: Path,
    architecture: Architecture,
    modules: Sequence[Weighted],
    norms: Mapping[str, BatchNorm],
    stages: Mapping[str, Norm],
) -> Architecture:
    """The architecture with the file's tensors in place of the weight space's.

    Args:
        modules: in the order of computation.
        norms: the folded BatchNorm of each layer, by the layer's name.
        stages: the file's module for each stage, by its name.

    Raises:
        ArchitectureError: a layer under weight normalisation, on whose two tensors the group does not act linearly.
    """
    for module in modules:
        if module.merged:
            cause = f"{module.name} is stored under weight normalisation"
            raise ArchitectureError(path, cause, "remove the parametrization (remove_weight_norm) and save again")
    own = {spec.name: spec.roles for spec in architecture.tensors}
    specs: list[TensorSpec] = []
    for module, layer in zip(modules, architecture.layers, strict=True):
        for stage in layer.stages:
            if stage.place == "inputs":
                specs += _stage_specs(stage, stages[stage.name], own)
        norm = norms.get(module.name)
        listed, *others = own[f"{layer.name}.weight"]
        added = own[f"{layer.name}.bias"][0]
        group = listed.group
        if norm is not None and group is not None:
            listed = AxisRole(Side.INDEX, group)
        specs.append(TensorSpec(f"{module.prefix}weight", tuple(module.weight.shape), (listed, *others)))
        if module.bias is not None:
            specs.append(TensorSpec(f"{module.prefix}bias", tuple(module.bias.shape), (listed if norm else added,)))
        if norm is not None:
            index = AxisRole() if group is None else AxisRole(Side.INDEX, group)
            specs += _norm_specs(norm, index, index, replace(added, bias=False), added)
        for stage in layer.stages:
            if stage.place != "inputs":
                specs += _stage_specs(stage, stages[stage.name], own)
    return replace(architecture, tensors=tuple(specs))


def _norm_specs(
    norm: BatchNorm, mean: AxisRole, variance: AxisRole, weight: AxisRole, bias: AxisRole
) -> list[TensorSpec]:
    size = (norm.size,)
    specs = [
        TensorSpec(f"{norm.name}.running_mean", size, (mean,)),
        TensorSpec(f"{norm.name}.running_var", size, (variance,)),
    ]
    if norm.weight is not None:
        specs.append(TensorSpec(f"{norm.name}.weight", size, (weight,)))
    if norm.bias is not None:
        specs.append(TensorSpec(f"{norm.name}.bias", size, (bias,)))
    return specs


def _stage_specs(stage: Stage, norm: Norm, own: Mapping[str, tuple[AxisRole, ...]]) -> list[TensorSpec]:
    if isinstance(norm, BatchNorm):
        (index,), (scaled,) = own[f"{stage.name}.scale"], own[f"{stage.name}.shift"]
        return _norm_specs(norm, scaled, index, index, scaled)
    parts = ["weight"] if norm.bias is None or stage.kind is StageKind.SLOPES else ["weight", "bias"]
    return [TensorSpec(f"{stage.name}.{part}", (stage.size,), own[f"{stage.name}.{part}"]) for part in parts]
