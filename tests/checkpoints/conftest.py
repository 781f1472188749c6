"""Files that the tests of this room share."""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

FORMATS = ("safetensors", "torch", "torch-legacy")

Write = Callable[..., Path]
RawSafetensors = Callable[..., bytes]


@pytest.fixture(scope="session")
def state_dict() -> OrderedDict[str, Tensor]:
    """A small CNN's, in an order that is not the alphabet's."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"stem.weight": (4, 1, 3, 3), "stem.bias": (4,), "head.weight": (3, 4), "head.bias": (3,)}
    return OrderedDict((name, torch.randn(*shape, generator=generator)) for name, shape in shapes.items())


@pytest.fixture(scope="session")
def write() -> Write:
    """Write an object in one of the formats; safetensors takes flat state dicts only."""

    def write(path: Path, loaded: Any, format: str) -> Path:
        if format == "safetensors":
            save_file(dict(loaded), path)
        else:
            torch.save(loaded, path, _use_new_zipfile_serialization=format == "torch")
        return path

    return write


@pytest.fixture(params=FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    """Each format of a single file."""
    return str(request.param)


@pytest.fixture(params=FORMATS[1:])
def torch_format(request: pytest.FixtureRequest) -> str:
    """Each format of `torch.save`."""
    return str(request.param)


@pytest.fixture(scope="session")
def raw_safetensors() -> RawSafetensors:
    """The bytes of a safetensors file with any header, true or not."""

    def raw(header: object, body: bytes = b"", *, pad_to: int = 0) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        text = text.ljust(pad_to)
        return struct.pack("<Q", len(text)) + text + body

    return raw
