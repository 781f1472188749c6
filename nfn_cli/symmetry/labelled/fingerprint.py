"""A fingerprint of a network on labels: equal where one element acts in the same way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import LabelledArchitecture, Solutions


def fingerprint(architecture: LabelledArchitecture) -> str:
    """Thirty-two hexadecimal digits of the shapes, uses, blocks and solutions; names are left out."""
    digest = hashlib.sha256()
    for part in _parts(architecture):
        if isinstance(part, str):
            content = part.encode()
        else:
            content = repr(part.shape).encode() + np.ascontiguousarray(part).astype(_plain(part), copy=False).tobytes()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:32]


def _plain(values: NDArray[Any]) -> str:
    return "<f8" if values.dtype.kind == "f" else "<i8"


def _parts(architecture: LabelledArchitecture) -> Iterator[str | NDArray[Any]]:
    yield f"{architecture.label_count} {architecture.scale_count} {len(architecture.tensors)}"
    for tensor in architecture.tensors:
        yield f"{tuple(tensor.shape)} {len(tensor.uses)}"
        for use in tensor.uses:
            steps = [(step.kind, float(step.value)) for step in use.stored]
            yield f"{tuple(use.shape)} {tuple(use.stride)} {use.offset} {len(use.roles)} {len(use.scales)} {steps}"
            for role in use.roles:
                yield role.labels
                yield "" if role.slots is None else role.slots
            for coefficient, variables in use.scales:
                yield str(int(coefficient))
                yield variables
    for block in architecture.blocks:
        yield f"{block.parent} {block.n}"
        yield block.labels
    yield architecture.determined
    yield from _solutions(architecture.logs)
    yield from _solutions(architecture.signs)


def _solutions(solutions: Solutions) -> Iterator[str | NDArray[Any]]:
    yield f"{solutions.variables} {solutions.free}"
    yield solutions.rows
    yield solutions.columns
    yield solutions.coefficients
