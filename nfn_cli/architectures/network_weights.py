"""A point in weight space: an architecture and its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nfn_cli.architectures.architecture import Architecture
from nfn_cli.errors import ArchitectureError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NetworkWeights:
    """One network's weights, or a batch of networks of one architecture.

    `tensors` has a tensor [*batch, *shape] for every `TensorSpec` of the architecture, by its name.

    >>> from nfn_cli.architectures import Layer, chain
    >>> mlp = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu")
    >>> shapes = {"0.weight": (8, 2), "0.bias": (8,), "1.weight": (3, 9), "1.bias": (3,)}
    >>> NetworkWeights(mlp, {name: torch.zeros(shape) for name, shape in shapes.items()})
    Traceback (most recent call last):
        ...
    nfn_cli.errors.ArchitectureError: 1.weight: its shape is [3, 9], not [3, 8], as linear 2->8, linear 8->3 (relu) \
has it; give tensors [*batch, *shape] with the shapes of the architecture

    Raises:
        ArchitectureError: a tensor is missing, has another shape, or other batch axes than the first one.
    """

    architecture: Architecture
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        batch: tuple[int, ...] | None = None
        for spec in self.architecture.tensors:
            tensor = self.tensors.get(spec.name)
            if tensor is None:
                others = ", ".join(list(self.tensors)[:8]) or "none"
                raise ArchitectureError(spec.name, f"missing among the tensors ({others})", _remedy())
            shape = tensor.shape
            axes = len(shape) - len(spec.shape)
            if axes < 0 or shape[axes:] != spec.shape:
                expected = f"not {list(spec.shape)}, as {self.architecture.describe()} has it"
                raise ArchitectureError(spec.name, f"its shape is {list(shape)}, {expected}", _remedy())
            if batch is None:
                batch = shape[:axes]
            elif shape[:axes] != batch:
                first = self.architecture.tensors[0].name
                cause = f"its batch axes are {list(shape[:axes])}, those of {first} {list(batch)}"
                raise ArchitectureError(spec.name, cause, "give as many networks in each tensor")

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch axes; () for one network."""
        first = self.architecture.tensors[0]
        shape = self.tensors[first.name].shape
        return tuple(shape[: len(shape) - len(first.shape)])

    def mapped(self, change: Callable[[Tensor], Tensor]) -> NetworkWeights:
        """The networks with another tensor for each, such as some of its rows."""
        return NetworkWeights(self.architecture, {name: change(tensor) for name, tensor in self.tensors.items()})

    @classmethod
    def of_any_widths(cls, architecture: Architecture, tensors: Mapping[str, Tensor]) -> NetworkWeights:
        """Networks of an architecture's layers with other hidden widths, for who looks at no width; without checks."""
        point = object.__new__(cls)
        object.__setattr__(point, "architecture", architecture)
        object.__setattr__(point, "tensors", tensors)
        return point

    @classmethod
    def from_state_dict(
        cls,
        state: Mapping[str, Tensor],
        *,
        activation: str | None = None,
        architecture: Architecture | None = None,
        pool: str | None = None,
        omega_0: float | Sequence[float] | None = None,
        chain: bool = False,
    ) -> NetworkWeights:
        """The weights of a state dict, read as a file's are: layers in order, missing biases zero, BatchNorm folded in.

        >>> from torch import nn
        >>> state = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)).state_dict()
        >>> NetworkWeights.from_state_dict(state, activation="relu").architecture.describe()
        'linear 2->8, linear 8->3 (relu)'

        Args:
            state: tensors by name.
            activation, pool: names; a state dict does not hold them.
            architecture: the expected one, which also gives activation and pooling; every tensor must have its name and
                shape there.
            omega_0: frequency of sines sin(ω₀ z), one for all layers or one a layer but the last.
            chain: the layers are one plain chain, whatever else they may seem to be.

        Raises:
            UsageError: it is no state dict.
            CheckpointError: its tensors are no weights, or not finite.
            ArchitectureError: it is no chain of known layers, nobody tells the activation, or it has other tensors than
                the architecture; the message names the first one, its shape and the expected one.
        """
        from nfn_cli.architectures.in_memory import in_memory, read_chain
        from nfn_cli.architectures.stated import Stated
        from nfn_cli.python_words import python_words

        with python_words():
            if architecture is not None:
                given = in_memory(state).checkpoint
                return cls(architecture, given.tensors)
            return read_chain(in_memory(state, Stated.of(activation, pool, omega_0, chain))).weights

    @classmethod
    def from_module(cls, module: nn.Module, *, inputs: Any = None) -> NetworkWeights:
        """The weights of a module that is one plain chain, which its traced graph proves; so it tells its activation.

        >>> from torch import nn
        >>> point = NetworkWeights.from_module(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)))
        >>> point.architecture.describe()
        'linear 2->8, linear 8->3 (tanh)'

        Args:
            inputs: of one forward pass (a tensor, a tuple, a dict, or a tuple and a dict), where inputs for its first
                layer do not fit.

        Raises:
            ArchitectureError: it cannot be traced, or is no chain; the message says what stands in the way.
            CheckpointError: its tensors are no weights, or not finite.
        """
        from nfn_cli.architectures.in_memory import in_memory, read_chain
        from nfn_cli.python_words import python_words

        with python_words():
            return read_chain(in_memory(module, inputs=inputs)).weights


def _remedy() -> str:
    return "give tensors [*batch, *shape] with the shapes of the architecture"


def stack(points: Sequence[NetworkWeights]) -> NetworkWeights:
    """Networks of one signature as a batch; names and architecture are the first one's.

    Raises:
        ValueError: the signatures differ, or there is none.
    """
    return _together(points, torch.stack)


def joined(points: Sequence[NetworkWeights]) -> NetworkWeights:
    """Batches of one signature as one batch; names and architecture are the first one's.

    Raises:
        ValueError: the signatures differ, or there is none.
    """
    return _together(points, torch.cat)


def _together(points: Sequence[NetworkWeights], join: Callable[[list[Tensor]], Tensor]) -> NetworkWeights:
    if len({point.architecture.signature for point in points}) != 1:
        raise ValueError("only networks of one signature form a batch")
    first = points[0].architecture
    own_names = [[spec.name for spec in point.architecture.tensors] for point in points]
    return NetworkWeights(
        first,
        {
            spec.name: join([point.tensors[names[i]] for point, names in zip(points, own_names, strict=True)])
            for i, spec in enumerate(first.tensors)
        },
    )
