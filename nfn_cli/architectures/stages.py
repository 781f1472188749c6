"""What a norm or the slopes of a PReLU are to a layer, and their tensors in weight space."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from nfn_cli.architectures.batchnorm import affine
from nfn_cli.architectures.layer import Layer, Stage, StageKind
from nfn_cli.architectures.modules import BatchNorm, Norm
from nfn_cli.architectures.names import words
from nfn_cli.architectures.placing import PlacedNorm

_SLOPES = {"prelu", "act", "acts", "activation", "activations", "nonlin", "nonlinearity", "slope", "slopes", "relu"}


def stage_of(placed: PlacedNorm, layer: Layer, *, is_prelu: bool) -> Stage:
    """The stage that a norm which is not folded makes of a layer.

    One number a neuron without a bias may be slopes or gains; only where the file or its user says so it is slopes.
    """
    norm = placed.norm
    kind = StageKind.AFFINE
    if not isinstance(norm, BatchNorm):
        named = {part for word in words(norm.name) for part in word.split("_")}
        if norm.bias is not None:
            kind = StageKind.GROUP_NORM if layer.kind == "conv" else StageKind.LAYER_NORM
        else:
            kind = StageKind.SLOPES if is_prelu or named & _SLOPES else StageKind.GAINS
    return Stage(
        norm.name, kind, norm.size, placed.place, has_bias=isinstance(norm, BatchNorm) or norm.bias is not None
    )


def stage_tensors(stage: Stage, norm: Norm) -> Mapping[str, Tensor]:
    """The tensors of a stage in weight space, of the file's dtype; float64 for a BatchNorm."""
    if isinstance(norm, BatchNorm):
        scale, shift = affine(norm)
        return {f"{stage.name}.scale": scale, f"{stage.name}.shift": shift}
    found = {f"{stage.name}.weight": norm.weight}
    return found if norm.bias is None else {**found, f"{stage.name}.bias": norm.bias}
