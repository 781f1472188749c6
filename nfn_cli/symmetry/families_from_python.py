"""`families` for Python programs: of folders, paths, or named state dicts and modules.

>>> from torch import nn
>>> from nfn_cli import canonicalize
>>> model, other = (nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
>>> found = families({"model": model, "other": other, "normal": canonicalize(model)}, most_pairs=0)
>>> [(own.path, own.relation.value, own.of) for own in found.members]
[('model', 'first', None), ('normal', 'disguised', 'model'), ('other', 'stranger', None)]
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import find_checkpoints
from nfn_cli.errors import UsageError
from nfn_cli.python_words import python_words
from nfn_cli.symmetry.given import Network, opened, read_given
from nfn_cli.symmetry.kinship.families import MOST_PAIRS, find_families
from nfn_cli.symmetry.kinship.family_facts import Families
from nfn_cli.symmetry.named_networks import each_network, read_named

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


def families(
    networks: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Mapping[str, Network],
    *,
    most_pairs: int = MOST_PAIRS,
    activation: str | None = None,
    pool: str | None = None,
    omega_0: float | Sequence[float] | None = None,
    chain: bool = False,
    prefix: str | None = None,
) -> Families:
    """Sort networks into families, as `nfn families` does.

    Args:
        networks: a file or folder, or several; or paths, state dicts and modules by names of your choice.
        most_pairs: how many pairs are compared for kinship, those with the nearest signatures; 0 finds copies alone.
        activation, pool, omega_0, chain, prefix: of all, as in `inspect`.

    Returns:
        What was found; files that cannot be read are among its `failed`.

    Raises:
        CheckpointError: a folder without a checkpoint.
        UsageError: as `inspect`; or SciPy is needed and missing.
    """
    with python_words():
        stated = Stated.of(activation, pool, omega_0, chain, prefix)
        tracer = NetworkTracer(gauges=True)
        if isinstance(networks, Mapping):
            named = networks
            if any(isinstance(own, Tensor) for own in named.values()):
                raise UsageError("networks", "is one state dict", "give several, each by a name of your choice")

            def read(name: str) -> AnySource:
                return read_given(opened(named[name], stated), gauges=True)

            return find_families(list(named), read, most_pairs=most_pairs)
        paths = [networks] if isinstance(networks, str | os.PathLike) else list(networks)
        names = list(each_network(map(str, find_checkpoints(paths))))
        return find_families(names, lambda name: read_named(name, stated, tracer), most_pairs=most_pairs)
