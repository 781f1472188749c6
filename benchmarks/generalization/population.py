"""The networks of one zoo or several, split by training run and moved along their orbits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from settings import Setting

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError, UsageError
from nfn_cli.learning.splits import Part, positions
from nfn_cli.symmetry import GroupElement, act, sample_element
from nfn_cli.zoo import LabelledNetworks, join_networks, read_networks

SPLIT_SEED = 0
_PARTS: tuple[Part, ...] = ("train", "calibration", "test")
_ELEMENT_SEEDS = {"train": 1, "calibration": 2, "test": 3}


def read_zoos(folders: Sequence[Path], activation: str, runs: int | None) -> LabelledNetworks:
    """Read one zoo or several of one architecture, or the checkpoints of the first `runs` runs of each.

    Runs of several zoos are named after their zoo's folder too, so that two runs of one number stay two.

    Raises:
        DataError: unreadable, of another activation or architecture, or too small to split.
        UsageError: two zoos have folders of one name.
    """
    names = [folder.resolve().name for folder in folders]
    for name, times in Counter(names).items():
        if times > 1:
            raise UsageError(f"--{activation}", f"{times} zoos are called {name}", "rename a folder")
    networks = join_networks(
        {name: _read(folder, activation, runs) for name, folder in zip(names, folders, strict=True)}
    )
    for part in _PARTS:
        accuracies = networks.select(positions(networks.runs, part, SPLIT_SEED)).targets
        if len(accuracies.unique()) < 2:
            raise DataError(folders[0], f"too few different accuracies in the {part} part", "give a larger zoo")
    return networks


def _read(folder: Path, activation: str, runs: int | None) -> LabelledNetworks:
    networks = read_networks(folder)
    found = networks.point.architecture.activation
    if found != activation:
        raise DataError(folder, f"its networks are {found} networks", f"give it as --{found}")
    if runs is None:
        return networks
    kept = set(list(dict.fromkeys(networks.runs))[:runs])
    return networks.select([i for i, run in enumerate(networks.runs) if run in kept])


def fingerprint(networks: LabelledNetworks) -> str:
    """Sixteen hexadecimal digits that tell these networks, accuracies and runs from any others."""
    digest = hashlib.sha256(repr(networks.runs).encode())
    for tensor in (networks.targets, *networks.point.tensors.values()):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def part_in(networks: LabelledNetworks, part: Part, setting: Setting) -> LabelledNetworks:
    """One part of the split as a setting shows it: all networks, then all of them once more, moved.

    The elements follow from the part alone, so that every method meets the same copies.
    """
    chosen = networks.select(positions(networks.runs, part, SPLIT_SEED))
    if not setting.moved:
        return chosen
    generator = torch.Generator().manual_seed(_ELEMENT_SEEDS[part])
    moved = act(_element(chosen, setting, generator), chosen.point)
    both = {name: torch.cat([tensor, moved.tensors[name]]) for name, tensor in chosen.point.tensors.items()}
    return LabelledNetworks(
        NetworkWeights(chosen.point.architecture, both),
        chosen.targets.repeat(2),
        chosen.runs * 2,
        chosen.files * 2,
        chosen.splits * 2,
    )


def _element(networks: LabelledNetworks, setting: Setting, generator: torch.Generator) -> GroupElement:
    """Uniform permutations, fair signs, and scales from U[1, scale], an element a network."""
    drawn = sample_element(networks.point.architecture, generator, batch=(len(networks),), scale=False)
    if setting.scale == 1:
        return drawn
    scales = tuple(
        1 + (setting.scale - 1) * torch.rand(diagonal.shape, generator=generator, dtype=torch.float64)
        for diagonal in drawn.diagonals
    )
    return GroupElement(drawn.permutations, scales)
