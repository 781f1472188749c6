"""Members of a family: a base and its kin. A kind of kin is one entry of `MEMBERS`, made from those before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from changes import int8, layers, mean, noisy, pruned, replaced, stored_as
from files import config_beside, config_of, read, tensors_of, write
from growth import grown
from kinds import Kind
from tasks import Pictures, Split, Text
from torch import Tensor, nn
from training import train

BASE = "base"
_SEEDS = 100_000  # of families, behind those of recipes


@dataclass(frozen=True)
class Family:
    """One base with its kin, as files of a folder.

    Attributes:
        folder: of all families.
        number: within its kind.
    """

    folder: Path
    kind: Kind
    number: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.kind.name}/{self.number}"

    def place(self, member: str, disguise: str = "plain") -> Path:
        """A member's file; a grown child has a folder of its own, for its configuration is another."""
        own = self.folder / "families" / self.name
        own = own / "grown" if member == "grown" else own
        return own / (f"{member}.safetensors" if disguise == "plain" else f"{member}.{disguise}.safetensors")

    def read(self, member: str) -> dict[str, Tensor]:
        """A member's tensors."""
        return read(self.place(member))

    @property
    def seed(self) -> int:
        """Of what is drawn for this family."""
        return _SEEDS + 1_000 * sum(map(ord, self.kind.name)) + self.number


@dataclass(frozen=True)
class Making:
    """A family that is being made."""

    family: Family
    task: Split

    def build(self) -> nn.Module:
        """An untrained network; the default generator has been seeded."""
        first = self.task.first
        return self.family.kind.build(first if isinstance(first, Pictures) else None)

    def base(self) -> nn.Module:
        """The base as a module."""
        network = self.build()
        network.load_state_dict(self.family.read(BASE))
        return network

    def classes(self, upper: bool) -> Pictures | Text:
        """The data of a short fine-tuning: of pictures, the lower or the upper half of the classes."""
        second = self.task.second
        if isinstance(second, Text):
            return second
        middle = second.classes // 2
        return second.of(range(middle, second.classes) if upper else range(middle))


Made = dict[str, Tensor] | nn.Module


def _base(making: Making) -> Made:
    return train(making.build(), making.task.first, making.family.kind.training)


def _short(making: Making) -> Made:
    return train(making.base(), making.classes(upper=False), making.family.kind.short(1))


def _sibling(making: Making) -> Made:
    return train(making.base(), making.classes(upper=True), making.family.kind.short(2))


def _long(making: Making) -> Made:
    return train(making.base(), making.task.second, making.family.kind.long)


def _grown(making: Making) -> Made:
    return train(grown(making.base()), making.task.second, making.family.kind.short(3))


def _merged(making: Making) -> Made:
    return mean(making.family.read("short"), making.family.read("sibling"))


def _replaced(making: Making) -> Made:
    """In every second family with the layer of the next base of its kind, else drawn anew."""
    family = making.family
    stranger = None
    if family.number % 2:
        stranger = Family(family.folder, family.kind, (family.number + 1) % family.kind.count).read(BASE)
    return replaced(family.read(BASE), replaced_layer(family), stranger, family.seed)


def replaced_layer(family: Family) -> str:
    """Prefix of the names of the layer that is replaced in a family: another one in each."""
    found = layers(list(family.read(BASE)))
    return found[family.number % len(found)]


def _noise(share: float) -> Callable[[Making], Made]:
    return lambda making: noisy(making.family.read(BASE), share, making.family.seed)


def _stored(dtype: torch.dtype) -> Callable[[Making], Made]:
    return lambda making: stored_as(making.family.read(BASE), dtype)


@dataclass(frozen=True)
class Member:
    """A kind of kin.

    Attributes:
        title: in the table.
        make: its tensors, or the trained network.
        dtype: in which it is stored, also when it has been disguised.
    """

    title: str
    make: Callable[[Making], Made]
    dtype: torch.dtype | None = None


MEMBERS: dict[str, Member] = {
    BASE: Member("a copy", _base),
    "short": Member("short fine-tune", _short),
    "sibling": Member("another short fine-tune", _sibling),
    "long": Member("long fine-tune", _long),
    "noise-0.25": Member("noise of 0.25 σ", _noise(0.25)),
    "noise-0.5": Member("noise of 0.5 σ", _noise(0.5)),
    "noise-0.75": Member("noise of 0.75 σ", _noise(0.75)),
    "noise-1": Member("noise of 1 σ", _noise(1.0)),
    "pruned": Member("half the weights pruned", lambda making: pruned(making.family.read(BASE))),
    "float16": Member("float16", _stored(torch.float16), torch.float16),
    "bfloat16": Member("bfloat16", _stored(torch.bfloat16), torch.bfloat16),
    "int8": Member("int8 and back", lambda making: int8(making.family.read(BASE))),
    "replaced": Member("a layer replaced", _replaced),
    "merged": Member("mean of two children", _merged),
    "grown": Member("a layer more", _grown),
}


def make_member(making: Making, name: str) -> Path:
    """Make a member that is not there."""
    family = making.family
    target = family.place(name)
    if not target.exists():
        torch.manual_seed(family.seed)
        made = MEMBERS[name].make(making)
        if isinstance(made, nn.Module):
            write(target, tensors_of(made), config_of(made))
        else:
            write(target, made, config_beside(family.place(BASE)))
    return target
