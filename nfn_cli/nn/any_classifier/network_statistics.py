"""What a head for any classifier reads of networks of any architecture, as one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

MOST_LAYERS = 24
TOKEN = 45
WHOLE = 16
ANSWERS = 88


@dataclass(frozen=True)
class NetworkStatistics:
    """Statistics of networks, invariant under every network's own group; float32, on any device.

    Attributes:
        layers: of each layer with a matrix of weights, in order of depth [networks, 24, 45]; zeros behind the last.
        depth: how many layers each has [networks], int64.
        whole: of the network as a whole [networks, 16].
        answers: of its answers to pictures [networks, 88]; zeros where it is not known how it is run.
        runs: whether it is known how it is run [networks], bool.
        classes: how many it tells apart [networks], int64.
    """

    layers: Tensor
    depth: Tensor
    whole: Tensor
    answers: Tensor
    runs: Tensor
    classes: Tensor

    what: ClassVar[str] = "statistics of networks"

    def __len__(self) -> int:
        return len(self.depth)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> NetworkStatistics:
        """The same with every tensor changed, such as `partial(Tensor.to, device="cuda")`."""
        return NetworkStatistics(*(change(getattr(self, own.name)) for own in fields(self)))

    def select(self, positions: Sequence[int] | Tensor) -> NetworkStatistics:
        """The networks at these positions."""
        chosen = torch.as_tensor(positions, dtype=torch.int64, device=self.depth.device)
        return self.mapped(lambda tensor: tensor[chosen])

    def to(self, device: str | torch.device) -> NetworkStatistics:
        """On a device."""
        return self.mapped(partial(Tensor.to, device=device))


def joined_statistics(parts: Sequence[NetworkStatistics]) -> NetworkStatistics:
    """All networks of some batches, in their order; at least one batch."""
    return NetworkStatistics(
        *(torch.cat([getattr(part, own.name) for part in parts]) for own in fields(NetworkStatistics))
    )
