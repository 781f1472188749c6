"""Networks out of a head's distribution: made from ones that are in it, or of another population.

What is made is as close to trained weights as its kind allows, so that a head has something to find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, chain
from nfn_cli.errors import DataError
from nfn_cli.learning.batches import batches
from nfn_cli.learning.metrics import Estimate
from nfn_cli.nn import Accepted, Head
from nfn_cli.zoo import LabelledNetworks

SCALED_BY = 10.0


@dataclass(frozen=True)
class OODReport:
    """What share of some networks a head flags as out of distribution, with 95 % bootstrap intervals over runs.

    Attributes:
        kind: how they were made, or the name of their population.
        networks, runs: how many there are.
        flagged: the share of all.
        trained: how many have learned something: they, or the networks that they are made of, have a known accuracy of
            more than 0.1 above chance. Networks made of others differ too little from them for any rule.
        trained_flagged: the share of those, None if there are none.
    """

    kind: str
    networks: int
    runs: int
    flagged: Estimate
    trained: int
    trained_flagged: Estimate | None


def shuffled(point: NetworkWeights, generator: torch.Generator) -> NetworkWeights:
    """The entries of every tensor in random order, a new one for each network.

    Args:
        point: tensors [networks, *shape].
    """

    def shuffle(tensor: Tensor) -> Tensor:
        rows = tensor.flatten(1)
        order = torch.rand(rows.shape, dtype=torch.float64, generator=generator).argsort(1)
        return rows.gather(1, order).view(tensor.shape)

    return point.mapped(shuffle)


def gaussian(point: NetworkWeights, generator: torch.Generator) -> NetworkWeights:
    """Independent normal entries of mean zero, with the variance of the tensor that they stand for.

    Args:
        point: tensors [networks, *shape].
    """

    def draw(tensor: Tensor) -> Tensor:
        spread = tensor.flatten(1).std(1, correction=0)
        noise = torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)
        return noise * spread.view(-1, *[1] * (tensor.ndim - 1))

    return point.mapped(draw)


def scaled_layer(point: NetworkWeights, generator: torch.Generator) -> NetworkWeights:
    """Weight and bias of one layer, drawn for each network, times 10. Nothing makes up for it: the function changes.

    Args:
        point: tensors [networks, *shape].
    """
    layers = point.architecture.layers
    chosen = torch.randint(len(layers), point.batch, generator=generator)
    tensors = dict(point.tensors)
    for number, layer in enumerate(layers):
        for name in (f"{layer.name}.weight", f"{layer.name}.bias"):
            factors = torch.where(chosen == number, SCALED_BY, 1.0).to(tensors[name].dtype)
            tensors[name] = tensors[name] * factors.view(-1, *[1] * (tensors[name].ndim - 1))
    return NetworkWeights(point.architecture, tensors)


def thinned(point: NetworkWeights, generator: torch.Generator) -> NetworkWeights:
    """A random half of the neurons of every hidden layer, other ones for each network: networks of another width.

    Args:
        point: tensors [networks, *shape].
    """
    architecture = point.architecture
    kept = [
        torch.rand(*point.batch, group.size, generator=generator).argsort(1)[:, : -(-group.size // 2)]
        for group in architecture.groups
    ]
    tensors = {}
    for spec in architecture.tensors:
        tensor = point.tensors[spec.name]
        for axis, role in enumerate(spec.roles, start=1):
            if role.group is not None:
                # A neuron before a flatten owns several entries in a row.
                owned = kept[role.group][:, :, None] * role.repeat + torch.arange(role.repeat)
                # Of each network its own entries along the axis, all along the others.
                own = owned.flatten(1).view(len(owned), *[1] * (axis - 1), -1, *[1] * (tensor.ndim - axis - 1))
                tensor = tensor.take_along_dim(own, axis)
        tensors[spec.name] = tensor
    layers = [
        replace(layer, out_features=weight.shape[1], in_features=weight.shape[2])
        for layer in architecture.layers
        for weight in [tensors[f"{layer.name}.weight"]]
    ]
    narrow = chain(
        layers,
        activation=architecture.activation,
        omega_0=architecture.omega_0,
        pool=architecture.pool,
        rigid={group.name for group in architecture.groups if group.rigid},
    )
    return NetworkWeights(narrow, tensors)


Maker = Callable[[NetworkWeights, torch.Generator], NetworkWeights]

# Those that every head is measured on, and those that a head learns to distinguish from its training networks.
MADE: dict[str, Maker] = {"shuffled entries": shuffled, "Gaussian weights": gaussian, "one layer x10": scaled_layer}
TAUGHT: tuple[Maker, ...] = (*MADE.values(), thinned)


def made_out_of_distribution(
    point: NetworkWeights, seed: int, makers: Mapping[str, Maker] = MADE
) -> dict[str, NetworkWeights]:
    """One network of each kind for every network of a test population, by the name of the kind."""
    generator = torch.Generator().manual_seed(seed)
    return {kind: make(point, generator) for kind, make in makers.items()}


def read_out_of_distribution(
    folders: Mapping[str, Path], accepted: Accepted, read: Callable[[Path], LabelledNetworks]
) -> dict[str, LabelledNetworks]:
    """Read other populations.

    Args:
        folders: by their names.
        accepted: what the head reads.
        read: reads a folder.

    Raises:
        DataError, CheckpointError, ArchitectureError: one cannot be read, or not by the head.
    """
    found = {}
    for kind, folder in folders.items():
        found[kind] = read(folder)
        reason = accepted.mismatch(found[kind].point.architecture)
        if reason:
            raise DataError(folder, reason, "give networks that the head reads")
    return found


def flags(
    head: Head,
    networks: LabelledNetworks,
    makers: Mapping[str, Maker],
    others: Mapping[str, LabelledNetworks],
    seed: int,
    on_stage: Callable[[str], None],
) -> Iterator[tuple[str, LabelledNetworks, Tensor]]:
    """Which networks a head flags, kind by kind: of those made of `networks`, then of other populations.

    Args:
        seed: of what is made.
        on_stage: called with each kind before it is predicted.
    """
    made = made_out_of_distribution(networks.point, seed, makers)
    kinds = {kind: replace(networks, point=point) for kind, point in made.items()}
    for kind, own in (kinds | dict(others)).items():
        on_stage(f"out of distribution: {kind}")
        yield kind, own, torch.cat([~head.predict(batch).in_distribution for batch in batches(own.point)])
