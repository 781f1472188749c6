"""Several networks in one file, whose shapes happen to follow one another."""

from __future__ import annotations

from nfn_cli.architectures.joints.outline import Doubts, Outline
from nfn_cli.architectures.numbered_names import is_restart
from nfn_cli.architectures.scopes import Path


def judge_numbered(outline: Outline, doubts: Doubts, joint: int) -> None:
    """Two layers whose names follow each other by number may belong to two networks all the same."""
    one, other = outline.scopes.units(joint, joint + 1)
    containers = outline.scopes.containers
    if one in containers and other in containers:
        judge_ends(outline, doubts, joint, containers[one][0], containers[other][-1])
    elif is_restart(outline.tokens, joint):
        judge_ends(outline, doubts, joint, 0, len(outline.layers) - 1)


def judge_ends(outline: Outline, doubts: Doubts, joint: int, start: int, stop: int, *, named: bool = False) -> None:
    """Layers `start` to `joint`, and those behind up to `stop`, may be two networks.

    Both may read the network's inputs, or these and what the first one gives; or the second may lead back to what
    the first one reads, unless it is `named` as what comes behind.
    """
    before, after = outline.layers[joint], outline.layers[joint + 1]
    first, last = outline.layers[start], outline.layers[stop]
    # Of layers of one width the last reads what they give: nothing but its name would tell otherwise.
    equal = joint + 2 == len(outline.layers) and all(
        layer.in_features == layer.out_features for layer in outline.layers[: joint + 1]
    )
    beside = outline.layers[0].in_features == after.in_features and not equal
    inverse = not named and first.in_features == last.out_features and start < joint and joint + 1 < stop
    if (beside or inverse) and first.kind == before.kind == after.kind == last.kind:
        what = f"{after.name} may read what {first.name} reads, as a branch, a skip or another network does"
        what = what if beside else f"{after.name} may begin a network that leads back to what {first.name} reads"
        doubts.soft.setdefault(joint, what)


def judge_networks(outline: Outline, doubts: Doubts, joint: int, one: Path, other: Path) -> None:
    """Two containers of layers may be one network or two."""
    before, after = outline.layers[joint], outline.layers[joint + 1]
    if before.kind == "conv" and after.kind == "linear" and outline.classifies(one, other):
        return
    names = ".".join(one), ".".join(other)
    doubts.soft[joint] = f"{names[0]} and {names[1]} may be networks of their own"
    # The one may read the neurons of the other on the way, as a U-Net's decoder adds its encoder's.
    inner = [
        {
            outline.layers[place].out_features
            for place in outline.scopes.containers[path][:-1]
            if not outline.sealed[place]
        }
        for path in (one, other)
    ]
    for width in inner[0] & inner[1]:
        doubts.widths.setdefault(width, f"{names[1]} may read the neurons of {names[0]} on its way")


def fix_repeats(outline: Outline, doubts: Doubts) -> None:
    """If the shapes of all layers repeat, they may be several networks of one kind."""
    shapes = [(layer.kind, layer.weight_shape) for layer in outline.layers]
    for period in range(2, len(shapes) // 2 + 1):
        if len(shapes) % period == 0 and shapes == shapes[:period] * (len(shapes) // period):
            if len(set(shapes)) > 1:
                for joint in range(period - 1, len(shapes) - 1, period):
                    what = (
                        f"{outline.layers[0].name} and {outline.layers[joint + 1].name} may begin networks of one kind"
                    )
                    doubts.soft.setdefault(joint, what)
            return
