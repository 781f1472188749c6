"""What a family of networks offers, and what one network of it is recognised as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

Config = Mapping[str, Any]
Shapes = Mapping[str, tuple[int, ...]]
Inputs = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True)
class ReferenceModule:
    """A module of our own that has a file's tensors, name for name, and computes what the library's class computes.

    Attributes:
        family: such as `Llama`.
        text: what was recognised, such as `Llama, 16 layers, 32 heads in 8 groups of one key-value head`.
        make: builds the module, on torch's default device (`with torch.device("meta"):` for one without weights). It
            has no buffers, so its state dict loaded with `assign=True` is all that it needs. It is made for evaluation:
            no dropout, no cache, no control flow that looks at values.
        inputs: (batch, device) to positional and keyword arguments of its forward pass.
        ignored: matches names that files may have and the function does not read (such as stored masks).
        ties: names that are one tensor, each group in the order of the state dict. A file may have only some names of a
            group; values that differ within a group are another network.
        assumptions: what the file does not tell and is taken to be so, in a few words each.
        sized: whether pictures of `inputs` are of the network's own size, which its configuration states; else of one
            that it takes.
    """

    family: str
    text: str
    make: Callable[[], nn.Module]
    inputs: Callable[[int, torch.device | str], Inputs]
    ignored: str | None = None
    ties: tuple[tuple[str, ...], ...] = ()
    assumptions: tuple[str, ...] = ()
    sized: bool = False


@dataclass(frozen=True)
class Family:
    """A known family of networks, and the file that has `from_config`, `from_shapes` or both.

    Attributes:
        name: for people.
        file: of the package `families`; it is imported when it is first asked.
        by_shapes: whether names and shapes may tell it. Such families are all asked, since just one may answer.
        prefix: of its functions' names, in a file of several families.
    """

    name: str
    file: str
    by_shapes: bool = False
    prefix: str = ""

    @property
    def module(self) -> str:
        """The full name of its file."""
        return f"nfn_cli.architectures.families.{self.file}"

    def from_config(self, config: Config, shapes: Shapes) -> ReferenceModule | None:
        """The network that `config.json` tells, given the file's shapes (they tell which head is there).

        Returns:
            None where the configuration is another family's.

        Raises:
            Refusal: it is this family's, and not understood.
        """
        return self._answer("from_config", config, shapes)

    def from_shapes(self, shapes: Shapes) -> ReferenceModule | None:
        """The network that names and shapes tell; None where they do not.

        Raises:
            Refusal: they have the marks of this family, and are not understood.
        """
        return self._answer("from_shapes", shapes)

    def _answer(self, function: str, *given: object) -> ReferenceModule | None:
        ask: Any = getattr(import_module(self.module), self.prefix + function, None)
        return None if ask is None else ask(*given)
