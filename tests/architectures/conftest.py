"""Real torch modules, their files, and what is read from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli.architectures import ReadNetwork, Stated, read_weights
from nfn_cli.checkpoints import read_checkpoint

Steps = Sequence[tuple[str, nn.Module]]
MakeNetwork = Callable[..., nn.Module]
Save = Callable[..., Path]
Read = Callable[..., ReadNetwork]
Deviation = Callable[[Tensor, Tensor], float]


class Network(nn.Module):
    """Runs its steps one after another."""

    def __init__(self, steps: Steps, defined: Sequence[str]) -> None:
        super().__init__()
        own = dict(steps)
        for name in defined:
            *parents, last = name.split(".")
            holder: nn.Module = self
            for parent in parents:
                if not hasattr(holder, parent):
                    holder.add_module(parent, nn.Module())
                holder = holder.get_submodule(parent)
            holder.add_module(last, own[name])
        self.run = [module for _, module in steps]

    def forward(self, values: Tensor) -> Tensor:
        for module in self.run:
            values = module(values)
        return values


@pytest.fixture
def make_network() -> MakeNetwork:
    """A float64 network of named steps in evaluation mode; steps without parameters are called "".

    `defined` is the order of definition, if it is not that of computation. Running statistics and affine parameters are
    nothing like those of a fresh BatchNorm.
    """

    def make(steps: Steps, defined: Sequence[str] | None = None) -> nn.Module:
        network = Network(steps, defined or [name for name, _ in steps if name]).double().eval()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if name.endswith("running_var"):
                    tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * 3 + 0.01)
                elif tensor.is_floating_point():
                    # About as large as they came in: deep networks neither die nor explode.
                    size = tensor[0].numel() if tensor.ndim > 1 else 1
                    tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) / size**0.5)
        return network

    return make


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write tensors, or a module's state dict, as safetensors or by torch.save."""

    def write(
        source: nn.Module | Mapping[str, Tensor],
        format: str = "safetensors",
        *,
        metadata: dict[str, str] | None = None,
        name: str = "model",
    ) -> Path:
        tensors = dict(source.state_dict() if isinstance(source, nn.Module) else source)
        path = tmp_path / f"{name}.{'safetensors' if format == 'safetensors' else 'pt'}"
        if format == "safetensors":
            save_file(tensors, path, metadata)
        else:
            torch.save({"state_dict": tensors, "config": metadata} if metadata else tensors, path)
        return path

    return write


@pytest.fixture
def read(save: Save) -> Read:
    """Write and read back."""

    def write_and_read(
        source: nn.Module | Mapping[str, Tensor],
        format: str = "safetensors",
        *,
        activation: str = "relu",
        is_chain: bool = False,
    ) -> ReadNetwork:
        told = Stated(activation=activation, chain=is_chain)
        return read_weights(read_checkpoint(save(source, format)), told)

    return write_and_read


@pytest.fixture
def deviation() -> Deviation:
    """The largest difference, relative to the largest expected value."""

    def measure(found: Tensor, expected: Tensor) -> float:
        found, expected = found.detach().double(), expected.detach().double()
        assert found.shape == expected.shape
        assert expected.abs().max() > 0
        return float((found - expected).abs().max() / expected.abs().max())

    return measure
