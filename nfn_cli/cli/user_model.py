"""The user's own module, made by a factory of theirs, to run the weights of a checkpoint in."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_SIDES = (28, 32, 64, 16, 8, 224, 96, 128, 48, 12, 4)


class UserModel:
    """A module in evaluation mode, which takes one state dict after another."""

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        """Import and call a factory.

        Args:
            name: `module:factory`; the module is looked for in the current directory first. This runs the user's code.
            dtype: of the checkpoint; halves are run in float32, as a CPU lacks operations on them.

        Raises:
            UsageError: there is no such factory, or it makes no module.
        """
        import torch

        self.name = name
        module = _factory(name)
        if not isinstance(module, torch.nn.Module):
            raise UsageError("--model", f"{name} returns a {type(module).__name__}", "return a torch.nn.Module")
        self.dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self.module = module.to(self.dtype).eval()

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take a state dict.

        Raises:
            UsageError: it is not the module's.
        """
        try:
            self.module.load_state_dict(dict(tensors))
        except RuntimeError as error:
            raise UsageError("--model", f"{self.name}: {error}", "make the module that wrote the checkpoint") from error

    def run(self, inputs: Tensor) -> Tensor:
        """The module's outputs.

        Raises:
            UsageError: it fails on these inputs or returns something else than a tensor.
        """
        import torch

        try:
            with torch.inference_mode():
                outputs = self.module(inputs.to(self.dtype))
        except Exception as error:  # the user's code may raise anything
            shape = ",".join(map(str, inputs.shape[1:]))
            cause = f"{self.name} fails on inputs of {shape} ({type(error).__name__}: {error})"
            raise UsageError("--model", cause, "give its inputs' shape by --input-shape") from error
        if not isinstance(outputs, torch.Tensor):
            raise UsageError("--model", f"{self.name} computes a {type(outputs).__name__}", "make it return one tensor")
        return outputs

    def runs(self, shape: tuple[int, ...]) -> bool:
        """Whether it takes inputs of a shape."""
        import torch

        try:
            self.run(torch.zeros(2, *shape))
        except UsageError:
            return False
        return True


def candidate_shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """A shape, and then the same channels with usual sides."""
    yield shape
    if len(shape) > 1:
        for side in _SIDES:
            yield (shape[0], *[side] * (len(shape) - 1))


def _factory(name: str) -> object:
    module, colon, factory = name.partition(":")
    if not (module and colon and factory):
        raise UsageError("--model", f"{name!r} names no factory", "write module:factory")
    sys.path.insert(0, os.getcwd())
    try:
        made: object = getattr(importlib.import_module(module), factory)()
    except Exception as error:  # the user's code may raise anything
        cause = f"{name} cannot be made ({type(error).__name__}: {error})"
        raise UsageError("--model", cause, "name a function of no arguments in this directory") from error
    finally:
        sys.path.remove(os.getcwd())
    return made
