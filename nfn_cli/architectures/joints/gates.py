"""Gates: layers that may be multiplied with one another."""

from __future__ import annotations

from nfn_cli.architectures.joints.outline import Doubts, Outline


def fix_squeezes(outline: Outline, doubts: Doubts) -> None:
    """Linear layers behind a convolution that lead back to its number of neurons may be its gate."""
    for joint in range(len(outline.layers) - 1):
        before, after = outline.layers[joint], outline.layers[joint + 1]
        if before.kind != "conv" or after.kind != "linear" or after.spatial != 1 or outline.sealed[joint]:
            continue
        back = [layer for layer in outline.layers[joint + 2 : -1] if layer.out_features == before.out_features]
        if back and after.out_features < before.out_features:
            doubts.soft.setdefault(joint, f"{after.name} and {back[0].name} may be a gate of {before.name}")
            doubts.widths.setdefault(before.out_features, doubts.soft[joint])


def fix_gates(outline: Outline, doubts: Doubts) -> None:
    """Layers of n→m, m→n and n→m may be a value, its reader and its gate: `w1`, `w2` and `w3`."""
    for place in range(len(outline.layers) - 2):
        one, back, other = outline.layers[place : place + 3]
        sizes = (one.in_features, one.out_features)
        alike = (other.in_features, other.out_features) == sizes == (back.out_features, back.in_features)
        alike &= sizes[0] != sizes[1] and one.kind == back.kind == other.kind
        container = outline.scopes.paths[place][:-1]
        alone = sum(path[:-1] == container for path in outline.scopes.paths) == 3
        if alike and alone and not outline.sealed[place]:
            what = f"{other.name} may be a gate of {one.name}"
            for width in sizes:
                doubts.widths.setdefault(width, what)
