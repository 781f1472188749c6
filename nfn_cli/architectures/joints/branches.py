"""Branches: layers whose names do not follow each other by number may read, or give, the same neurons."""

from __future__ import annotations

from nfn_cli.architectures.joints.networks import judge_ends, judge_networks
from nfn_cli.architectures.joints.outline import Doubts, Outline
from nfn_cli.architectures.names import first_difference, rank, shared_tokens


def judge_names(outline: Outline, doubts: Doubts, joint: int) -> None:
    """Look for rival readings of two layers whose names do not follow each other by number."""
    before, after = outline.layers[joint], outline.layers[joint + 1]
    one, other = outline.scopes.units(joint, joint + 1)
    if one in outline.scopes.containers and other in outline.scopes.containers:
        judge_networks(outline, doubts, joint, one, other)
        return
    width = before.out_features
    mine, theirs = (outline.rank(joint, side) for side in (0, 1))
    judge_ends(outline, doubts, joint, *outline.run(joint), named=mine < 0 or theirs > 0)
    if before.in_features == after.in_features and _are_siblings(outline, joint):
        doubts.soft[joint] = f"{before.name} and {after.name} may read the same neurons"
        doubts.widths.setdefault(before.in_features, doubts.soft[joint])
    rivals = [*_other_readers(outline, joint), *_other_givers(outline, joint)]
    if rivals:
        names = ", ".join(dict.fromkeys([after.name, *rivals]))
        what = f"{names} meet the same {width} neurons, as branches, a gate, a skip or a recurrent cell may"
        doubts.soft[joint] = what
        doubts.widths.setdefault(width, what)
    for layer, linked, named in (
        (before, outline.linked(joint - 1), mine < 0),
        (after, outline.linked(joint + 1) or before.kind != after.kind, theirs > 0),
    ):
        if layer.in_features == layer.out_features and not linked and not named:
            what = f"{layer.name} may be a skip, a branch, a gate or a recurrent cell"
            doubts.soft.setdefault(joint, what)
            doubts.widths.setdefault(width, what)


def _are_siblings(outline: Outline, joint: int) -> bool:
    """Whether two names have one number and differ behind it: `fc2_mu` and `fc2_var`."""
    place = shared_tokens(outline.tokens[joint], outline.tokens[joint + 1])
    return place > 0 and isinstance(outline.tokens[joint][place - 1], int)


def _other_readers(outline: Outline, joint: int) -> list[str]:
    """Layers further on that may read what layer `joint` gives."""
    before, after = outline.layers[joint], outline.layers[joint + 1]
    sizes = {before.out_features, after.in_features}
    runs = outline.linked(joint + 1) or after.in_features != after.out_features
    found = []
    for place in range(joint + 2, len(outline.layers)):
        layer = outline.layers[place]
        last = first_difference(outline.tokens[joint + 1], outline.tokens[place])[1]
        excused = runs and last is not None and rank(last) > 0
        if layer.in_features in sizes and layer.spatial == 1 and not outline.linked(place - 1) and not excused:
            found.append(layer.name)
    return found


def _other_givers(outline: Outline, joint: int) -> list[str]:
    """Layers before that may give what layer `joint + 1` reads."""
    before = outline.layers[joint]
    found = []
    for place in range(joint):
        layer = outline.layers[place]
        first = first_difference(outline.tokens[place], outline.tokens[joint])[0]
        excused = outline.linked(joint - 1) and first is not None and rank(first) < 0
        if layer.out_features == before.out_features and not outline.linked(place) and not excused:
            found.append(layer.name)
    return found
