"""Weight space of any network on labels, sorted by how its entries transform: the fields that layers act on.

>>> from torch import nn
>>> layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)))
>>> [(field.sizes, field.features) for field in layout.fields]
[((8,), 3), ((8,), 3), ((), 3)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.nn.labelled.field import LabelledField, Piece
from nfn_cli.nn.labelled.gather import Gathered, Gatherer, left_out
from nfn_cli.symmetry.labelled.action import backward, forward

Share = Callable[[str], str]


@dataclass(frozen=True, eq=False)
class LabelledLayout:
    """The fields of an architecture on labels.

    Attributes:
        architecture: its tensors and its group.
        fields: all entries, each in one field.
        shapes: of every tensor that has entries in some field.
    """

    architecture: LabelledArchitecture
    fields: tuple[LabelledField, ...]
    shapes: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(
        cls,
        architecture: LabelledArchitecture,
        shapes: Mapping[str, Sequence[int]] | None = None,
        *,
        merge: bool = True,
        share: Share | None = None,
    ) -> LabelledLayout:
        """Sort the tensors of an architecture into fields.

        Args:
            shapes: of tensors besides those that the architecture lists, which nothing moves.
            merge: gather entries of several tensors in one field where they are multiplied alike, neuron by neuron;
                else each tensor has fields of its own. The layers span the same maps either way.
            share: the name under which a tensor shares parameters with others, from its own; by default none does.

        Raises:
            ArchitectureError: labels of the architecture follow from each other in a way that has no fields.
        """
        gatherer = Gatherer(architecture)
        gathered = [piece for tensor in architecture.tensors for piece in gatherer.pieces(tensor)]
        gathered += left_out(architecture, shapes or {})
        groups: dict[Any, list[Gathered]] = {}
        for number, own in enumerate(gathered):
            key = (own.coordinates, own.logs.tobytes(), own.signs.tobytes()) if merge else number
            groups.setdefault(key, []).append(own)
        fields = tuple(_field(own, share or str) for own in groups.values())
        known = {tensor.name: tensor.shape for tensor in architecture.tensors}
        known |= {name: tuple(shape) for name, shape in (shapes or {}).items()}
        return cls(architecture, fields, known)

    @classmethod
    def from_module(
        cls, module: nn.Module, inputs: Any = None, *, merge: bool = True, share: Share | None = None
    ) -> LabelledLayout:
        """Trace a module (see `nfn_cli.architectures.in_memory`) and sort its state dict into fields.

        Args:
            inputs: of one forward pass; without them, inputs that fit its first layer.

        Raises:
            UsageError: the inputs have another form.
            ArchitectureError: the module cannot be traced.
        """
        from nfn_cli.architectures.in_memory import evaluated
        from nfn_cli.architectures.tracing.export import export_user_module
        from nfn_cli.architectures.tracing.tracer import trace

        name = type(module).__name__
        architecture = trace(export_user_module(evaluated(module, inputs, name)), subject=name, gauges=False)
        state = module.state_dict()
        left = {name: tuple(state[name].shape) for name in architecture.left if state[name].is_floating_point()}
        return cls.of(architecture, left, merge=merge, share=share)

    @property
    def features(self) -> list[int]:
        """Of each field."""
        return [field.features for field in self.fields]

    @property
    def entries(self) -> int:
        """Dimension of the weight space."""
        return sum(field.entries for field in self.fields)

    def pack(self, tensors: Mapping[str, Tensor]) -> list[Tensor]:
        """Fields [batch, *sizes, features] of a batch of state dicts, tensors [batch, *shape] by name.

        Entries are the numbers that the group multiplies: of a variance, that with ε.
        """
        return [torch.cat([_taken(piece, tensors[piece.name]) for piece in field.pieces], -1) for field in self.fields]

    def unpack(self, fields: Sequence[Tensor]) -> dict[str, Tensor]:
        """Inverse of `pack`."""
        batch = len(fields[0])
        found = {name: fields[0].new_zeros(batch, *shape) for name, shape in self.shapes.items()}
        for field, values in zip(self.fields, fields, strict=True):
            for piece, own in zip(
                field.pieces, values.split([piece.features for piece in field.pieces], -1), strict=True
            ):
                places = torch.from_numpy(piece.places).to(values.device).flatten()
                found[piece.name].view(batch, -1)[:, places] = backward(own, piece.stored).reshape(batch, -1)
        return found


def _field(gathered: Sequence[Gathered], share: Share) -> LabelledField:
    first = gathered[0]
    pieces = tuple(own.piece for own in gathered)
    names = [f"{share(piece.name)}{f'#{piece.part}' * (piece.part > 0)}:{piece.features}" for piece in pieces]
    inside = "".join("n" if own.parent is None else f".{own.parent}" for own in first.coordinates)
    kind = f"{'+'.join(names)} over {inside}" if inside else "+".join(names)
    return LabelledField(first.coordinates, first.logs.shape, pieces, first.logs, first.signs, kind)


def _taken(piece: Piece, tensor: Tensor) -> Tensor:
    batch = len(tensor)
    places = torch.from_numpy(piece.places).to(tensor.device)
    return forward(tensor.reshape(batch, -1)[:, places.flatten()].view(batch, *places.shape), piece.stored)
