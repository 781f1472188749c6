"""An architecture: its layers, its neuron groups, and the role of every axis of every tensor."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace

from nfn_cli.architectures.layer import Layer, Stage, StageKind
from nfn_cli.architectures.roles import AxisRole, Side

COORDINATES = 2  # of a pixel: row and column
_NORMS = (StageKind.LAYER_NORM, StageKind.GROUP_NORM)


@dataclass(frozen=True)
class NeuronGroup:
    """Neurons that share one index: a hidden layer of a chain, and the activation that it feeds.

    Attributes:
        name: of the layer.
        rigid: the file has nowhere to keep a scale or sign, as behind a norm without affine parameters.
        in_place: the neurons may not be permuted, such as behind a GroupNorm whose groups are not known.
        omega_0: frequency of a sine, sin(ω₀ z); no other activation looks at it.
    """

    name: str
    size: int
    activation: str
    rigid: bool = False
    in_place: bool = False
    omega_0: float = 30.0


@dataclass(frozen=True)
class TensorSpec:
    """A tensor of the weight space: its name, its shape without batch axes, and one role an axis."""

    name: str
    shape: tuple[int, ...]
    roles: tuple[AxisRole, ...]


@dataclass(frozen=True)
class Architecture:
    """All that the other rooms know of a network's structure.

    It is one chain, or several, where a file holds several networks or where it is not known what lies between two
    layers. What joins chains belongs to no group.

    Attributes:
        layers: in the order of computation.
        groups: the neuron groups that may be moved, in order.
        tensors: by layer: its weight and bias and those of its stages.
        activation: canonical name (see `activations`).
        omega_0: frequency of a sine, sin(ω₀ z), where all layers have one; no other activation looks at it.
        pool: "max", "avg" or "none": which pooling follows activations; None where it is not known.
        starts: the places of the layers that begin a chain, the first of them 0.
        omegas: of a sine with other frequencies from layer to layer, one a layer but the last; else empty.
        slope: of a leaky ReLU; no other activation looks at it.
    """

    layers: tuple[Layer, ...]
    groups: tuple[NeuronGroup, ...]
    tensors: tuple[TensorSpec, ...]
    activation: str
    omega_0: float = 30.0
    pool: str | None = None
    starts: tuple[int, ...] = (0,)
    omegas: tuple[float, ...] = ()
    slope: float | None = None

    @property
    def parameter_count(self) -> int:
        """Numbers in the weight space."""
        return sum(math.prod(spec.shape) for spec in self.tensors)

    @property
    def first(self) -> Layer:
        """The layer that reads the input."""
        return self.layers[0]

    @property
    def inputs(self) -> int:
        """Features that the first layer reads."""
        return self.first.in_features

    @property
    def outputs(self) -> int:
        """Features that the last layer gives."""
        return self.layers[-1].out_features

    @property
    def hidden_widths(self) -> tuple[int, ...]:
        """How many neurons each layer but the last has."""
        return tuple(layer.out_features for layer in self.layers[:-1])

    @property
    def weights(self) -> tuple[TensorSpec, ...]:
        """The weight of each layer."""
        names = {f"{layer.name}.weight" for layer in self.layers}
        return tuple(spec for spec in self.tensors if spec.name in names)

    @property
    def biases(self) -> tuple[TensorSpec, ...]:
        """The bias of each layer."""
        names = {f"{layer.name}.bias" for layer in self.layers}
        return tuple(spec for spec in self.tensors if spec.name in names)

    @property
    def first_tensor(self) -> TensorSpec:
        """The first one, whose dtype and batch axes stand for those of all."""
        return self.tensors[0]

    @property
    def has_hidden_convolutions(self) -> bool:
        """Whether a layer but the last is a convolution, behind which a pooling may stand."""
        return any(layer.kind == "conv" for layer in self.layers[:-1])

    @property
    def biased_groups(self) -> frozenset[int]:
        """The groups whose neurons have a bias, to which a shift of phase may be added."""
        roles = (role for spec in self.tensors for role in spec.roles)
        return frozenset(role.group for role in roles if role.bias and role.group is not None)

    @property
    def is_whole(self) -> bool:
        """Whether it is one chain of layers with nothing but activations between them, which heads read."""
        return len(self.starts) == 1 and not any(layer.stages for layer in self.layers)

    @property
    def is_picture(self) -> bool:
        """Whether networks take the two coordinates of a pixel through linear layers to its channels."""
        linear = all(layer.kind == "linear" for layer in self.layers)
        return self.layers[0].in_features == COORDINATES and linear and len(self.starts) == 1

    @property
    def signature(self) -> Hashable:
        """Equal for architectures that differ in names alone; such networks can share a batch."""
        layers = tuple((layer.kind, layer.weight_shape, layer.spatial) for layer in self.layers)
        frequency = self.omega_0 if self.activation == "sin" else None
        common = (layers, self.activation, frequency, self.pool == "max")
        stages = tuple(
            tuple((stage.kind.value, stage.size, stage.place, stage.has_bias) for stage in layer.stages)
            for layer in self.layers
        )
        # Left out where they say nothing, so that fingerprints of plain chains stay what they were.
        more = (self.starts, stages, self.omegas, self.slope)
        return common if more == ((0,), ((),) * len(layers), (), None) else (*common, *more)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits, equal for networks that one group acts on in the same way."""
        groups = [
            (group.size, group.activation, group.rigid, *(["in place"] if group.in_place else []))
            for group in self.groups
        ]
        return hashlib.sha256(repr((self.signature, groups)).encode()).hexdigest()[:16]

    @property
    def chains(self) -> tuple[Architecture, ...]:
        """Each chain by itself."""
        if len(self.starts) == 1:
            return (self,)
        stops = (*self.starts[1:], len(self.layers))
        return tuple(
            self._built(self.layers[start:stop], (0,), self.omegas[start : stop - 1])
            for start, stop in zip(self.starts, stops, strict=True)
        )

    def frequency(self, layer: int) -> float:
        """ω₀ of the sine behind a layer."""
        return self.omegas[layer] if self.omegas else self.omega_0

    @property
    def omegas_of_groups(self) -> tuple[float, ...]:
        """ω₀ of the sine of each group."""
        return tuple(group.omega_0 for group in self.groups)

    def with_activation(self, activation: str) -> Architecture:
        """The same layers under another activation."""
        return replace(self, activation=activation)._built(self.layers, self.starts, self.omegas)

    def describe(self) -> str:
        """Such as `conv 1->16 3x3, linear 16->10 (relu)`."""
        return f"{self.describe_layers()} ({self.activation})"

    def describe_layers(self) -> str:
        """Such as `conv 1->16 3x3, linear 16->10`."""
        return ", ".join(layer.describe() for layer in self.layers)

    def _built(self, layers: Sequence[Layer], starts: Sequence[int], omegas: Sequence[float]) -> Architecture:
        return chain(
            layers,
            activation=self.activation,
            omega_0=self.omega_0,
            pool=self.pool,
            rigid={group.name for group in self.groups if group.rigid},
            starts=starts,
            omegas=omegas,
            phased=bool(self.biased_groups) or self.activation != "sin",
            slope=self.slope,
        )


def chain(
    layers: Sequence[Layer],
    *,
    activation: str,
    omega_0: float = 30.0,
    pool: str | None = None,
    rigid: Collection[str] = (),
    starts: Sequence[int] = (0,),
    omegas: Sequence[float] = (),
    phased: bool = True,
    slope: float | None = None,
) -> Architecture:
    """Build the architecture of layers that follow one another.

    Every layer but the last of a chain feeds a neuron group, which the next layer reads.

    >>> mlp = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu")
    >>> [(spec.name, [role.side.value for role in spec.roles]) for spec in mlp.tensors][2]
    ('1.weight', ['fixed', 'in'])

    Args:
        rigid: names of layers whose groups are rigid; those behind a norm without gains are in any case.
        phased: whether the phases of sines may be shifted, by what their frequencies say.
        omega_0, omegas, pool, starts, slope: as in `Architecture`.
    """
    groups: list[NeuronGroup] = []
    tensors: list[TensorSpec] = []
    read = AxisRole()
    for position, layer in enumerate(layers):
        joined = position + 1 < len(layers) and position + 1 not in starts
        if position in starts:
            read = AxisRole()
        own = [stage for stage in layer.stages if stage.place != "inputs"]
        group = None
        if joined:
            group = len(groups)
            unscaled = layer.name in rigid or any(stage.kind is StageKind.GAINS for stage in own)
            ordered = any(stage.kind is StageKind.GROUP_NORM for stage in own)
            frequency = omegas[position] if omegas else omega_0
            groups.append(NeuronGroup(layer.name, layer.out_features, activation, unscaled, ordered, frequency))
        # The gains of the last norm hold a neuron's scale; all before it is only permuted.
        norms = [place for place, stage in enumerate(own) if stage.kind in _NORMS]
        scaled_from = norms[-1] if norms else -1
        listed = AxisRole() if group is None else AxisRole(Side.OUT if scaled_from < 0 else Side.INDEX, group)
        reads = replace(read, repeat=layer.spatial) if read.group is not None else read
        kernel = (AxisRole(),) * len(layer.kernel)
        for stage in layer.stages:
            if stage.place == "inputs":
                tensors += _stage_specs(stage, AxisRole(), AxisRole())
        tensors.append(TensorSpec(f"{layer.name}.weight", layer.weight_shape, (listed, reads, *kernel)))
        # The phase of a sine can only be shifted where the file has a bias to hold it, and nothing looks at its size.
        added = replace(listed, bias=layer.has_bias and not own and (phased or activation != "sin"))
        tensors.append(TensorSpec(f"{layer.name}.bias", (layer.out_features,), (listed if group is None else added,)))
        for place, stage in enumerate(own):
            index = AxisRole() if group is None else AxisRole(Side.INDEX, group)
            scaled = index if group is None or place < scaled_from else AxisRole(Side.OUT, group)
            tensors += _stage_specs(stage, index, scaled)
        read = AxisRole() if group is None else AxisRole(Side.IN, group)
    varying = () if len(set(omegas)) < 2 else tuple(omegas)
    common = omegas[0] if omegas and not varying else omega_0
    return Architecture(
        tuple(layers), tuple(groups), tuple(tensors), activation, common, pool, tuple(starts), varying, slope
    )


def _stage_specs(stage: Stage, index: AxisRole, scaled: AxisRole) -> list[TensorSpec]:
    """The tensors of a stage in weight space, whose neurons are listed by `index`, with their scales by `scaled`."""
    shape = (stage.size,)
    if stage.kind is StageKind.AFFINE:
        return [TensorSpec(f"{stage.name}.scale", shape, (index,)), TensorSpec(f"{stage.name}.shift", shape, (scaled,))]
    if stage.kind is StageKind.SLOPES:
        return [TensorSpec(f"{stage.name}.weight", shape, (index if stage.size > 1 else AxisRole(),))]
    specs = [TensorSpec(f"{stage.name}.weight", shape, (scaled if stage.kind is not StageKind.GAINS else index,))]
    if stage.has_bias:
        specs.append(TensorSpec(f"{stage.name}.bias", shape, (scaled,)))
    return specs
