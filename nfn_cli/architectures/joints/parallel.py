"""Parallel convolutions: several that read the same, and one layer that reads them all."""

from __future__ import annotations

from nfn_cli.architectures.joints.outline import Doubts, Outline


def fix_parallel(outline: Outline, doubts: Doubts, joint: int) -> None:
    """Convolutions before a linear layer may stand side by side."""
    if _may_be_parallel(outline, joint):
        what = f"the convolutions before {outline.layers[joint + 1].name} may be parallel branches"
        doubts.hard |= dict.fromkeys(range(joint + 1), what)


def _may_be_parallel(outline: Outline, joint: int) -> bool:
    """Whether a linear layer may read several convolutions of the same neurons side by side."""
    after = outline.layers[joint + 1]
    if after.spatial == 1 or outline.layers[joint].kind != "conv":
        return False
    total, kernels = 0, set()
    for place in range(joint, -1, -1):
        layer = outline.layers[place]
        if layer.kind != "conv" or layer.in_features != outline.layers[joint].in_features:
            return False
        total += layer.out_features
        kernels.add(layer.kernel)
        if place < joint and total == after.in_features:
            dimensions = len(layer.kernel)
            square = round(after.spatial ** (1 / dimensions)) ** dimensions == after.spatial
            return len(kernels) > 1 or not square or dimensions == 1
    return False
