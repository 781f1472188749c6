"""What heads for networks of any architecture read, as batches: statistics of them, or fields derived from labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics, joined_statistics
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks, joined_networks

AnyNetworks: TypeAlias = NetworkStatistics | LabelledNetworks


def joined_any(parts: Sequence[AnyNetworks]) -> AnyNetworks:
    """All networks of some batches of one sort, in their order; at least one batch."""
    fields = [own for own in parts if isinstance(own, LabelledNetworks)]
    if fields:
        return joined_networks(fields)
    return joined_statistics([own for own in parts if isinstance(own, NetworkStatistics)])
