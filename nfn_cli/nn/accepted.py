"""What a head accepts: the layers' kinds, kernels and outer sizes, hidden widths being free; or any classifier."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nfn_cli.architectures import Architecture, Layer, chain
from nfn_cli.architectures.activations import POOLS
from nfn_cli.architectures.frequencies import DEFAULT_OMEGA_0
from nfn_cli.architectures.no_classifier import why_no_classifier
from nfn_cli.errors import shown

# How the configuration of a head for classifiers of every architecture says so.
_ANY = {"any": "classifier"}
_LABELLED = {"any": "labelled"}


@dataclass(frozen=True)
class AcceptedLayer:
    """One layer as a head sees it. `inputs` is set on the first layer alone, `outputs` on the last."""

    kind: str
    kernel: tuple[int, ...]
    spatial: int
    inputs: int | None
    outputs: int | None

    def __str__(self) -> str:
        parts = [self.kind, "x".join(map(str, self.kernel))]
        parts += [f"from {self.inputs}"] if self.inputs else []
        parts += [f"to {self.outputs}"] if self.outputs else []
        parts += [f"after a flatten of {self.spatial} positions"] if self.spatial > 1 else []
        return " ".join(filter(None, parts))


@dataclass(frozen=True)
class Accepted:
    """The architectures that one head reads: these layers with any hidden widths, and one activation; or, with neither,
    all classifiers of pictures (`ANY_CLASSIFIER`).

    Attributes:
        pool: which pooling follows activations; None if unknown.
        omega_0: of a sine; None for others.
        by_labels: whether it reads any network whose group is known, by labels (`ANY_LABELLED`).
    """

    activation: str
    layers: tuple[AcceptedLayer, ...]
    pool: str | None = None
    omega_0: float | None = None
    by_labels: bool = False

    @classmethod
    def of(cls, architecture: Architecture) -> Accepted:
        """The widest set of architectures that a head fitted to `architecture` can read."""
        layers = architecture.layers
        last = len(layers) - 1
        seen = [
            AcceptedLayer(
                own.kind,
                own.kernel,
                own.spatial,
                own.in_features if i == 0 else None,
                own.out_features if i == last else None,
            )
            for i, own in enumerate(layers)
        ]
        omega_0 = architecture.omega_0 if architecture.activation == "sin" else None
        return cls(architecture.activation, tuple(seen), architecture.pool, omega_0)

    @property
    def is_any(self) -> bool:
        """Whether it is any classifier of pictures, which `nfn_cli.architectures.read_classifier` reads."""
        return not self.layers

    @property
    def reads(self) -> str:
        """What a head takes of a network, in words."""
        return "fields of networks" if self.by_labels else "statistics of networks" if self.is_any else "weights"

    def mismatch(self, architecture: Architecture) -> str | None:
        """Why a head does not read this architecture, naming the first layer that differs; None if it does."""
        return next(self._differences(architecture), None)

    def differences(self, architecture: Architecture) -> tuple[str, ...]:
        """Everything in which an architecture differs from what a head reads, layers first; empty if it reads it."""
        return tuple(self._differences(architecture))

    def _differences(self, architecture: Architecture) -> Iterator[str]:
        if self.is_any:
            yield from _no_classifier(architecture)
            return
        if not architecture.is_whole:
            yield "it is not one chain of layers with activations alone between them"
            return
        if architecture.omegas and self.omega_0 is not None:
            yield f"omega_0 differs from layer to layer, the head reads {self.omega_0:g}"
        other = Accepted.of(architecture)
        for layer, mine, theirs in zip(architecture.layers, self.layers, other.layers, strict=False):
            if mine != theirs:
                yield f"layer {layer.name} is {theirs}, the head reads {mine}"
        if len(self.layers) != len(other.layers):
            yield f"the network has {len(other.layers)} layers, the head reads {len(self.layers)}"
        if self.activation != other.activation:
            yield f"the activation is {other.activation}, the head reads {self.activation}"
        elif self.omega_0 is not None and not architecture.omegas and self.omega_0 != other.omega_0:
            yield f"omega_0 is {other.omega_0:g}, the head reads {self.omega_0:g}"
        # Unknown pooling is taken for the head's.
        if None not in (self.pool, other.pool) and (self.pool == "max") is not (other.pool == "max"):
            yield f"the pooling is {other.pool}, the head reads {self.pool}"

    def to_record(self) -> dict[str, Any]:
        """Plain values for `config.yaml`."""
        if self.is_any:
            return dict(_LABELLED if self.by_labels else _ANY)
        known = {"activation": self.activation, "pool": self.pool, "omega_0": self.omega_0}
        layers = [asdict(layer) | {"kernel": list(layer.kernel)} for layer in self.layers]
        return {name: value for name, value in known.items() if value is not None} | {"layers": layers}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Accepted:
        """Inverse of `to_record`; KeyError, TypeError or ValueError for anything else."""
        if record == _ANY:
            return ANY_CLASSIFIER
        if record == _LABELLED:
            return ANY_LABELLED
        layers = [
            AcceptedLayer(
                str(layer["kind"]),
                tuple(map(_size, layer["kernel"])),
                _size(layer["spatial"]),
                *(None if layer[name] is None else _size(layer[name]) for name in ("inputs", "outputs")),
            )
            for layer in record["layers"]
        ]
        last = len(layers) - 1
        for position, layer in enumerate(layers):
            if (layer.kind == "conv") is not (len(layer.kernel) in (1, 2, 3)) or layer.kind not in ("conv", "linear"):
                raise ValueError(f"layer {position} is no layer that nfn knows")
            ends = layer.inputs is not None, layer.outputs is not None
            if ends != (position == 0, position == last):
                raise ValueError("the first layer alone has inputs, the last alone outputs")
        if not layers:
            raise ValueError("it accepts no layer")
        omega_0 = record.get("omega_0")
        if omega_0 is not None and not (isinstance(omega_0, int | float) and 0 < omega_0 < math.inf):
            raise ValueError(f"omega_0 is {shown(omega_0)}")
        pool = record.get("pool")
        if pool not in (None, *POOLS):
            raise ValueError(f"pool is {shown(pool)}")
        return cls(str(record["activation"]), tuple(layers), pool, None if omega_0 is None else float(omega_0))

    def example_architecture(self) -> Architecture:
        """The architecture of `example`."""
        omega_0 = DEFAULT_OMEGA_0 if self.omega_0 is None else self.omega_0
        return chain(self.example(), activation=self.activation, omega_0=omega_0, pool=self.pool)

    def example(self, width: int = 2) -> list[Layer]:
        """Layers of the smallest kind of network that is accepted, to build a head's modules from."""
        layers, before = [], 0
        for position, layer in enumerate(self.layers or _LEAST):
            inputs = layer.inputs if layer.inputs is not None else before * layer.spatial
            before = layer.outputs if layer.outputs is not None else width
            kind: Literal["conv", "linear"] = "conv" if layer.kind == "conv" else "linear"
            layers.append(Layer(str(position), kind, inputs, before, layer.kernel, layer.spatial))
        return layers


ANY_CLASSIFIER = Accepted("identity", ())
ANY_LABELLED = Accepted("identity", (), by_labels=True)
# The smallest classifier.
_LEAST = (AcceptedLayer("linear", (), 1, 1, 2),)


def nearest(differences: Mapping[str, Sequence[str]]) -> str:
    """Which of some heads, none of which reads a network, comes nearest to it, and its first difference.

    Args:
        differences: of each head, see `Accepted.differences`; of those with equally few, the first is the nearest.

    >>> nearest({"a": ("layer fc is linear, the head reads conv", "and more"), "b": ("the activation is sin",)})
    'nearest b: the activation is sin; 1 other head does not, either'
    """
    name = min(differences, key=lambda own: len(differences[own]))
    others = len(differences) - 1
    rest = ["; 1 other head does not, either"] if others == 1 else [f"; {others} other heads do not, either"]
    return "".join([f"nearest {name}: {differences[name][0]}", *(rest if others else [])])


def _no_classifier(architecture: Architecture) -> Iterator[str]:
    if len(architecture.starts) > 1:
        yield "it may be more than one chain of layers"
    if (reason := why_no_classifier(architecture)) is not None:
        yield reason


def _size(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"{shown(value)} is no size")
    return value
