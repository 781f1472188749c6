"""Many networks in batches that fit into memory whatever their size, and what a head says of them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.nn import Head

_MOST_NETWORKS = 1_024
# A head carries some thirty channels for every entry of a weight matrix.
_MOST_PARAMETERS = 1 << 21
_NOUNS = {"accuracy": "prediction is", "logits": "logits are"}


def batches(point: NetworkWeights, size: int | None = None) -> Iterator[NetworkWeights]:
    """The networks of `point`, tensors [networks, *shape], a batch at a time and in their order.

    Args:
        size: networks in a batch; None takes as many as fit into memory.
    """
    size = size or max(1, min(_MOST_NETWORKS, _MOST_PARAMETERS // point.architecture.parameter_count))
    for start in range(0, point.batch[0], size):
        yield point.mapped(lambda tensor: tensor[start : start + size])  # noqa: B023 (called at once)


def predict_all(head: Head, point: NetworkWeights, files: Sequence[str], finite: str) -> Any:
    """What a head says of networks of any number, such as `Predictions`.

    Args:
        files: of the networks.
        finite: the field of it that must be finite, such as `accuracy`.

    Raises:
        DataError: it is not, of some network.
        HeadError: the head does not read them.
    """
    parts = [head.predict(batch) for batch in batches(point)]
    output = type(parts[0])
    joined = output(*(torch.cat([getattr(part, own.name) for part in parts]) for own in fields(output)))
    bad = (~getattr(joined, finite).isfinite().view(len(files), -1).all(1)).nonzero()
    if len(bad):
        cause = f"the {_NOUNS[finite]} not finite: weights beyond float32's range"
        raise DataError(files[int(bad[0])], cause, "leave it out")
    return joined
