"""An architecture: its layers, its neuron groups, and the role of every axis of every tensor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace

from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.roles import AxisRole, Side

COORDINATES = 2  # of a place in a picture: row and column


@dataclass(frozen=True)
class NeuronGroup:
    """Neurons that share one index: a hidden layer of a chain, and the activation that it feeds.

    A group is `rigid` where the file has nowhere to keep a scale or sign: behind a BatchNorm without affine parameters.
    """

    name: str
    size: int
    activation: str
    rigid: bool = False


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the weight space: its name, its shape without batch axes, and one role an axis."""

    name: str
    shape: tuple[int, ...]
    roles: tuple[AxisRole, ...]


@dataclass(frozen=True)
class Architecture:
    """All that the other rooms know of a network's structure.

    Attributes:
        layers: in the order of computation.
        groups: the hidden neuron groups, in order.
        tensors: first layer's weight, first layer's bias, second layer's weight, ...
        activation: canonical name (see `activations`).
        omega_0: frequency of a sine, sin(ω₀ z); no other activation looks at it.
        pool: "max", "avg" or "none": which pooling follows activations; None where nobody says.
    """

    layers: tuple[Layer, ...]
    groups: tuple[NeuronGroup, ...]
    tensors: tuple[TensorSpec, ...]
    activation: str
    omega_0: float = 30.0
    pool: str | None = None

    @property
    def parameter_count(self) -> int:
        """Numbers in the weight space."""
        return sum(math.prod(spec.shape) for spec in self.tensors)

    @property
    def is_picture(self) -> bool:
        """Whether networks take the place of a pixel, two coordinates through linear layers, to its channels."""
        return self.layers[0].in_features == COORDINATES and all(layer.kind == "linear" for layer in self.layers)

    @property
    def signature(self) -> Hashable:
        """Equal for architectures that differ in names alone; such networks can share a batch."""
        layers = tuple((layer.kind, layer.weight_shape, layer.spatial) for layer in self.layers)
        return layers, self.activation, self.omega_0 if self.activation == "sin" else None, self.pool == "max"

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits, equal for networks that one group acts on in the same way."""
        groups = [(group.size, group.activation, group.rigid) for group in self.groups]
        return hashlib.sha256(repr((self.signature, groups)).encode()).hexdigest()[:16]

    def with_activation(self, activation: str) -> Architecture:
        """The same layers under another activation."""
        rigid = {group.name for group in self.groups if group.rigid}
        return chain(self.layers, activation=activation, omega_0=self.omega_0, pool=self.pool, rigid=rigid)

    def describe(self) -> str:
        """Such as `conv 1->16 3x3, linear 16->10 (relu)`."""
        return f"{', '.join(layer.describe() for layer in self.layers)} ({self.activation})"


def chain(
    layers: Sequence[Layer],
    *,
    activation: str,
    omega_0: float = 30.0,
    pool: str | None = None,
    rigid: Collection[str] = (),
) -> Architecture:
    """Build the architecture of layers that follow one another.

    Every layer but the last feeds a neuron group, which the next layer reads; the groups of `rigid` layers are rigid.

    >>> mlp = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu")
    >>> [(spec.name, [role.side.value for role in spec.roles]) for spec in mlp.tensors][2]
    ('1.weight', ['fixed', 'in'])
    """
    last = len(layers) - 1
    groups = tuple(
        NeuronGroup(layer.name, layer.out_features, activation, layer.name in rigid) for layer in layers[:last]
    )
    tensors = []
    for position, layer in enumerate(layers):
        listed = AxisRole(Side.OUT, position) if position < last else AxisRole()
        read = AxisRole(Side.IN, position - 1, layer.spatial) if position else AxisRole()
        kernel = (AxisRole(),) * len(layer.kernel)
        tensors.append(TensorSpec(f"{layer.name}.weight", layer.weight_shape, (listed, read, *kernel)))
        # The phase of a sine can only be shifted where the file has a bias to hold it.
        added = replace(listed, bias=layer.has_bias) if position < last else listed
        tensors.append(TensorSpec(f"{layer.name}.bias", (layer.out_features,), (added,)))
    return Architecture(tuple(layers), groups, tuple(tensors), activation, omega_0, pool)
