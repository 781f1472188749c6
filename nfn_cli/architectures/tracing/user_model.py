"""The user's own module (`--model`), to run the weights of a checkpoint in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nfn_cli.architectures.tracing.inputs import Example


class UserModel:
    """A module in evaluation mode, which takes one state dict after another.

    Attributes:
        example: inputs of one forward pass, where its factory gives them.
    """

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        """Import and call a factory.

        Args:
            name: as `load_user_module` takes it. This runs the user's code.
            dtype: of the checkpoint; halves are run in float32, as a CPU lacks operations on them.

        Raises:
            UsageError: there is no such factory, or it makes no module.
        """
        import torch

        from nfn_cli.architectures.tracing.user_module import load_user_module

        self.name = name
        made = load_user_module(name)
        self.dtype = torch.float64 if dtype == torch.float64 else torch.float32
        self.module = made.module.to(self.dtype)
        self.example = made.example

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take a state dict.

        Raises:
            UsageError: it is not the module's.
        """
        from nfn_cli.architectures.tracing.fitting import load_state

        try:
            load_state(self.module, tensors)
        except ValueError as error:
            raise UsageError("--model", f"{self.name}: {error}", "make the module that wrote the checkpoint") from error

    def run(self, example: Example) -> list[Tensor]:
        """The floating tensors that the module computes, with float inputs in its own dtype.

        Raises:
            UsageError: it fails on these inputs or returns something else than tensors.
        """
        import torch

        from nfn_cli.architectures.tracing.inputs import mapped
        from nfn_cli.architectures.tracing.outputs import output_tensors
        from nfn_cli.architectures.tracing.user_code import UserCodeError, user_code

        def in_its_dtype(tensor: Tensor) -> Tensor:
            return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

        args, kwargs = mapped((example.args, dict(example.kwargs)), function=in_its_dtype)
        try:
            with user_code(quiet=True), torch.inference_mode():
                made = self.module(*args, **kwargs)
        except UserCodeError as error:
            cause = f"{self.name} fails on {example.assumed or 'the inputs that its factory gives'} ({error})"
            remedy = "give its inputs' shape by --input-shape" if example.assumed else "give inputs that it takes"
            raise UsageError("--model", cause, remedy) from error
        try:
            outputs = output_tensors(made)
        except ValueError as error:
            remedy = "make it return tensors, in tuples, dicts or dataclasses"
            raise UsageError("--model", f"{self.name} {error}", remedy) from error
        if not any(output.numel() for output in outputs):
            raise UsageError("--model", f"{self.name} computes no floating-point numbers", "make it return some")
        return outputs

    def runs(self, example: Example) -> bool:
        """Whether it takes such inputs."""
        try:
            self.run(example)
        except UsageError:
            return False
        return True
