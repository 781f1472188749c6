"""Of each joint of a chain, why its neurons stay in place: all other possible readings, one after the other."""

from __future__ import annotations

from functools import lru_cache

from nfn_cli.architectures.beside import Taken
from nfn_cli.architectures.joints.blocks import fix_blocks
from nfn_cli.architectures.joints.branches import judge_names
from nfn_cli.architectures.joints.gates import fix_gates, fix_squeezes
from nfn_cli.architectures.joints.networks import fix_repeats, judge_numbered
from nfn_cli.architectures.joints.odd_readers import fix_odd_readers
from nfn_cli.architectures.joints.outline import Doubts, Outline
from nfn_cli.architectures.joints.parallel import fix_parallel
from nfn_cli.architectures.joints.taken import taken_joints
from nfn_cli.architectures.joints.transposed import fix_transposed
from nfn_cli.architectures.joints.ways_back import fix_ways_back
from nfn_cli.architectures.layer import Layer


@lru_cache(maxsize=64)  # files of one population have the same layers
def joint_reasons(
    layers: tuple[Layer, ...], norms: tuple[str, ...], all_norms: tuple[str, ...], taken: tuple[Taken, ...]
) -> tuple[str | None, ...]:
    """Of each joint why its neurons stay in place; None where they may be moved. Joint k lies behind layer k.

    Args:
        layers: in the order of computation.
        norms: the names of norms other than BatchNorm, which make a block of a single layer one that may have a skip.
        all_norms: those of all norms.
        taken: widths that other tensors of the file have: they may be indexed by the neurons.
    """
    outline, doubts = Outline(layers), Doubts()
    joints = range(len(layers) - 1)
    # In this order: of several reasons for one joint the first is reported, or the last where it is surer.
    fix_blocks(outline, doubts, norms, all_norms)
    for joint in joints:
        if not outline.sealed[joint] and not outline.numbered[joint]:
            judge_names(outline, doubts, joint)
        elif not outline.sealed[joint]:
            judge_numbered(outline, doubts, joint)
        fix_parallel(outline, doubts, joint)
    fix_gates(outline, doubts)
    fix_ways_back(outline, doubts)
    fix_squeezes(outline, doubts)
    fix_repeats(outline, doubts)
    fix_odd_readers(outline, doubts)
    fix_transposed(outline, doubts)
    for joint, reason in enumerate(taken_joints(layers, taken)):
        if reason is not None:
            doubts.hard.setdefault(joint, reason)
    return tuple(doubts.reason(outline, joint) for joint in joints)
