"""Residual blocks: a container with as many inputs as outputs may have a skip around it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nfn_cli.architectures.joints.outline import Doubts, Outline
from nfn_cli.architectures.names import tokens
from nfn_cli.architectures.scopes import Path


def fix_blocks(outline: Outline, doubts: Doubts, norms: Collection[str], all_norms: Collection[str]) -> None:
    """A block with as many inputs as outputs may have a skip: what it reads and gives stays."""
    blocks = {path: own for path, own in outline.scopes.containers.items() if own == tuple(range(own[0], own[-1] + 1))}
    for path, own in outline.scopes.containers.items():
        if path not in blocks:
            for joint in range(len(outline.layers) - 1):
                if joint in own or joint + 1 in own:
                    doubts.hard[joint] = f"the layers of {'.'.join(path)} do not stand together"
    for layer, path in enumerate(outline.scopes.paths):
        if len(path) > 1 and path[:-1] not in outline.scopes.containers and _has_norm(path[:-1], norms):
            blocks[path[:-1]] = (layer,)
        elif unit := outline.scopes.wrapped(layer):
            blocks[unit] = (layer,)
    skipping = {path for path, own in blocks.items() if _may_skip(outline, own)}
    alike = {_kind_of(path) for path in skipping}
    for path, own in blocks.items():
        if _kind_of(path) in alike:
            _fix_block(outline, doubts, path, own, all_norms)


def _may_skip(outline: Outline, own: Sequence[int]) -> bool:
    first, last = outline.layers[own[0]], outline.layers[own[-1]]
    return first.in_features == last.out_features and first.spatial == 1 and first.kind == last.kind


def _has_norm(path: Path, norms: Collection[str]) -> bool:
    name = ".".join(path)
    return any(f".{norm}".rpartition(".")[0].endswith(f".{name}") for norm in norms)


def _fix_block(outline: Outline, doubts: Doubts, path: Path, own: Sequence[int], all_norms: Collection[str]) -> None:
    what = f"{'.'.join(path)} may be a residual block, with a skip around it"
    start, stop = own[0], own[-1]
    doubts.widths.setdefault(outline.layers[start].in_features, what)
    doubts.widths.setdefault(outline.layers[stop].out_features, what)
    for joint in (start - 1, stop):
        doubts.soft.setdefault(joint, what)
    normed = _has_norm(path, all_norms)
    for joint in range(start, stop):
        width = outline.layers[joint].out_features
        given = any(outline.layers[later].out_features == width for later in range(joint + 1, stop + 1))
        read = any(outline.layers[earlier].in_features == width for earlier in range(start, joint + 1))
        if normed or given or read:
            doubts.soft.setdefault(joint, what)


def _kind_of(path: Path) -> tuple[int, tuple[str, ...]]:
    """Equal for containers that are blocks of one kind, such as `layer1.0` and `layer2.0`."""
    return len(path), tuple(part for part in tokens(".".join(path)) if isinstance(part, str))
