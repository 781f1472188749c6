"""Layers that may read neurons in another way than their shapes say: bilinear, poolings, embeddings, depthwise."""

from __future__ import annotations

from nfn_cli.architectures.joints.outline import Doubts, Outline

# Numbers of positions, by dimensions: of poolings side by side, such as mean and maximum, and of pyramids (1 + 4 + 16).
_POOLS = {1: (2, 3), 2: (2, 3, 5, 21), 3: (2, 3)}


def fix_odd_readers(outline: Outline, doubts: Doubts) -> None:
    """Look for layers that may read their neurons in another way than their shapes say."""
    for joint in range(len(outline.layers) - 1):
        before, after = outline.layers[joint], outline.layers[joint + 1]
        if before.kind == "linear" and after.kernel == (after.in_features,):
            doubts.hard[joint] = f"{after.name} may be bilinear and read the neurons of {before.name} twice"
        if before.kind == "conv" and after.spatial in _POOLS.get(len(before.kernel), ()):
            doubts.hard[joint] = f"{after.name} may read {before.name} through several poolings side by side"
        if _are_named_by_kernel(outline, joint):
            doubts.hard[joint] = f"{before.name} and {after.name} are numbered by their kernels and may be parallel"
            for width in (before.in_features, before.out_features, after.out_features):
                doubts.widths.setdefault(width, doubts.hard[joint])
        if _may_be_embedding(outline, joint):
            doubts.hard[joint] = f"{before.name} may be an embedding"
    if len(outline.layers) > 1:
        first, second = outline.layers[:2]
        grouped = first.kind == second.kind == "conv" and first.in_features == 1 < max(first.kernel)
        if grouped and max(second.kernel) == 1:
            doubts.hard[0] = f"{first.name} may be depthwise: a group for each input channel"


def _are_named_by_kernel(outline: Outline, joint: int) -> bool:
    """Whether two convolutions that could read the same are numbered by the sizes of their kernels."""
    pair = outline.layers[joint : joint + 2]
    sizes = [max(layer.kernel, default=0) for layer in pair]
    numbers = [outline.tokens[place][-1] for place in (joint, joint + 1)]
    return pair[0].in_features == pair[1].in_features and 0 < sizes[0] != sizes[1] and numbers == sizes


def _may_be_embedding(outline: Outline, joint: int) -> bool:
    """Whether no activation stands behind a square matrix without bias, where they stand behind others."""
    before = outline.layers[joint]
    path, other = outline.scopes.paths[joint : joint + 2]
    if before.kind == "conv" or before.has_bias or before.in_features != before.out_features:
        return False
    directly = path[-1].isdecimal() and other[-1].isdecimal() and int(other[-1]) == int(path[-1]) + 1
    return joint == 0 and path[:-1] == other[:-1] and directly and any(outline.sealed)
