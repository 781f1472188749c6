"""A network as a head for any classifier takes it: its weights in order of depth, and how it is run, where that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from nfn_cli.architectures.network_weights import NetworkWeights

LEAST_CLASSES, MOST_CLASSES = 2, 1_000


@dataclass(frozen=True)
class ReadClassifier:
    """A classifier of any architecture.

    Attributes:
        tensors: all floating-point tensors of the file, float32 or float64, by name, in the order of the module where
            there is one, or of the layers.
        module: with these weights, in evaluation mode; None where it is not known how the network is run.
        picture: channels, height and width of one input of the module; None without a module.
        chain: the network [*shape] where it was read as one chain of layers.
        reading: what it was read as, for people.
        assumed: what was assumed, each in a few words.
    """

    tensors: Mapping[str, Tensor]
    module: nn.Module | None
    picture: tuple[int, int, int] | None
    chain: NetworkWeights | None
    reading: str
    assumed: tuple[str, ...] = ()
