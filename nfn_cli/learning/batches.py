"""Cut a population into batches that fit into memory whatever the size of its networks."""

from __future__ import annotations

from collections.abc import Iterator

from nfn_cli.architectures import NetworkWeights

_MOST_NETWORKS = 1_024
# A head carries some thirty channels for every entry of a weight matrix.
_MOST_PARAMETERS = 1 << 21


def batches(point: NetworkWeights) -> Iterator[NetworkWeights]:
    """The networks of `point`, tensors [networks, *shape], a batch at a time and in their order."""
    count = len(next(iter(point.tensors.values())))
    size = max(1, min(_MOST_NETWORKS, _MOST_PARAMETERS // point.architecture.parameter_count))
    for start in range(0, count, size):
        yield NetworkWeights(
            point.architecture, {name: tensor[start : start + size] for name, tensor in point.tensors.items()}
        )
