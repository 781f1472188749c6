"""Several populations as one."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.zoo.networks import LabelledNetworks


def join_networks(populations: Mapping[str, LabelledNetworks]) -> LabelledNetworks:
    """The networks of several populations of one architecture, one population after the other.

    Args:
        populations: by their names, with accuracies as targets; a run, and a file, are named after their population
            too, so that two runs of one number stay two. A single population stays as it is.

    Raises:
        DataError: the networks are of several architectures.
    """
    (first, read), *others = populations.items()
    if not others:
        return read
    architecture = read.point.architecture
    for name, networks in others:
        if networks.point.architecture != architecture:
            cause = f"its networks are of another architecture than those of {first}"
            raise DataError(name, cause, "give populations of one architecture")

    def named(field: str) -> tuple[str, ...]:
        return tuple(f"{name}/{own}" for name, networks in populations.items() for own in getattr(networks, field))

    every = populations.values()
    tensors = {name: torch.cat([own.point.tensors[name] for own in every]) for name in read.point.tensors}
    return LabelledNetworks(
        NetworkWeights(architecture, tensors),
        torch.cat([own.targets for own in every]),
        named("runs"),
        named("files"),
        tuple(split for own in every for split in own.splits),
    )
