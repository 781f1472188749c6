"""Group elements as files: safetensors, with the fingerprint of the architecture that they act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.checkpoints import save_tensors
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, group_kind, phase_step
from nfn_cli.symmetry.element import GroupElement

KIND = "nfn.element"
FINGERPRINT = "nfn.fingerprint"
LABELS = "nfn.labels"  # of an element that acts on labels, its version
_PARTS = ("permutation", "diagonal", "half_turns")
_FORMER_KEYS = {"half_turns": "turns"}  # in files of earlier versions
REMEDY = "give an element that nfn saved for this network"


def save_element(path: Path, element: GroupElement, architecture: Architecture, *, overwrite: bool = False) -> None:
    """Write an element, without batch axes, for networks of an architecture.

    Raises:
        CheckpointError: the file exists (without `overwrite`) or cannot be written.
    """
    columns = zip(element.permutations, element.diagonals, element.half_turns, strict=True)
    tensors = {
        f"{position}.{part}": tensor
        for position, parts in enumerate(columns)
        for part, tensor in zip(_PARTS, parts, strict=True)
    }
    save_tensors(path, tensors, {"kind": KIND, FINGERPRINT: architecture.fingerprint}, overwrite=overwrite)


def element_file(
    path: Path, wanted: Callable[[dict[str, str], set[str]], set[str]]
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and tensors of a file of an element.

    Args:
        wanted: from the metadata and the names of all tensors, the names of those to read.

    Raises:
        CheckpointError: the file cannot be read, or holds no element.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in wanted(metadata, set(file.keys()))}
    except Exception as error:
        # SafetensorError, OSError, and what torch raises for a kind of number that it lacks.
        raise CheckpointError(path, f"not a readable element ({error})", REMEDY) from error
    if metadata.get("kind") != KIND:
        raise CheckpointError(path, "this is no group element", REMEDY)
    return metadata, tensors


def load_element(path: Path, architecture: Architecture) -> GroupElement:
    """Read an element that acts on an architecture.

    Raises:
        CheckpointError: no element, one of another architecture, or one that would change the network's function.
    """
    metadata, tensors = element_file(path, lambda metadata, names: names)
    if LABELS in metadata:
        raise CheckpointError(path, "an element on labels, and this network was read as a chain", REMEDY)
    if metadata.get(FINGERPRINT) != architecture.fingerprint:
        raise CheckpointError(path, "an element of another architecture", REMEDY)
    parts: list[tuple[Tensor, ...]] = []
    for position, group in enumerate(architecture.groups):
        found = tuple(_part(tensors, position, part) for part in _PARTS)
        reason = _wrong(architecture, position, *found)
        if reason:
            raise CheckpointError(path, f"group {group.name}: {reason}", REMEDY)
        parts.append(found)
    permutations, diagonals, half_turns = zip(*parts, strict=True) if parts else ((), (), ())
    return GroupElement(tuple(permutations), tuple(diagonals), tuple(half_turns))


def _part(tensors: Mapping[str, Tensor], group: int, part: str) -> Tensor:
    """One part of an element on one group; empty where the file lacks it."""
    keys = (f"{group}.{part}", f"{group}.{_FORMER_KEYS.get(part, part)}")
    return next((tensors[key] for key in keys if key in tensors), torch.empty(0))


def _wrong(
    architecture: Architecture, group: int, permutation: Tensor, diagonal: Tensor, half_turns: Tensor
) -> str | None:
    """Why these parts do not act on a group, or None."""
    size = architecture.groups[group].size
    if permutation.dtype != torch.int64 or not torch.equal(permutation.sort().values, torch.arange(size)):
        return f"its permutation is none of {size} neurons"
    if architecture.groups[group].in_place and not torch.equal(permutation, torch.arange(size)):
        return "a permutation would change the function of a network with groups of neurons"
    if diagonal.dtype != torch.float64 or diagonal.shape != (size,) or not bool(diagonal.isfinite().all()):
        return f"its diagonal is not {size} finite numbers"
    if half_turns.dtype != torch.int64 or half_turns.shape != (size,):
        return f"its half-turns are not {size} whole numbers"
    kind, activation = group_kind(architecture, group), architecture.groups[group].activation
    allowed = {
        DiagonalKind.POSITIVE: diagonal > 0,
        DiagonalKind.SIGN: diagonal.abs() == 1,
        DiagonalKind.NONZERO: diagonal != 0,
        DiagonalKind.TRIVIAL: diagonal == 1,
    }[kind]
    if not bool(allowed.all()):
        factor = diagonal[~allowed][0].item()
        return f"a factor of {factor:g} would change the function of a network with {activation}"
    step = phase_step(architecture, group)
    if bool(half_turns.any()) and (not step or bool((half_turns % step).any())):
        return f"a shift of phase would change the function of a network with {activation}"
    return None
