"""Small networks in files, and copies of them in disguise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

Write = Callable[..., str]


@pytest.fixture
def read() -> Callable[[str], AnySource]:
    tracer = NetworkTracer()
    return lambda name: read_any(Path(name), Stated(), tracer)


@pytest.fixture
def write(tmp_path: Path, read: Callable[[str], AnySource]) -> Write:
    """Write a network of a seed: as it is, disguised by an element, with noise, in another dtype."""

    def written(
        name: str,
        seed: int,
        *,
        element: int | None = None,
        noise: float = 0.0,
        dtype: torch.dtype = torch.float32,
        width: int = 12,
    ) -> str:
        generator = torch.Generator().manual_seed(seed)
        shapes = {"0.weight": (width, 6), "0.bias": (width,), "2.weight": (8, width), "2.bias": (8,)}
        shapes |= {"4.weight": (3, 8), "4.bias": (3,)}
        tensors = {own: torch.randn(shape, generator=generator) for own, shape in shapes.items()}
        tensors = {
            own: tensor + noise * torch.randn(tensor.shape, generator=generator) for own, tensor in tensors.items()
        }
        path = tmp_path / f"{name}.safetensors"
        save_file({own: tensor.to(dtype) for own, tensor in tensors.items()}, path, {"activation": "relu"})
        if element is not None:
            source = read(str(path))
            moved = transformed_by(source, draw_element(source, Draw(), element))
            save_file({own: tensor.contiguous() for own, tensor in moved.items()}, path, {"activation": "relu"})
        return str(path)

    return written
