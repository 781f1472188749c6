"""Standard deviations of matrices: the "intrinsic fingerprint" of https://arxiv.org/abs/2507.03014.

Of a language model, those of its attention's matrices in every layer; of other networks, those of all layers.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from measures.matrices import depth, weights
from measures.measured import Measure, Measured

_PARTS = (".q_proj.weight", ".k_proj.weight", ".v_proj.weight", ".o_proj.weight", ".attn.c_proj.weight")


def _deviations(tensors: dict[str, Tensor]) -> Tensor:
    if not depth(tensors):
        return torch.stack([value.std() for value in tensors.values() if value.dim() > 1])
    found = []
    for name, value in tensors.items():
        if name.endswith(_PARTS):
            found.append(value.std())
        elif name.endswith(".attn.c_attn.weight"):
            found.extend(part.std() for part in value.chunk(3, 1))
    return torch.stack(found)


def measure(a: Path, b: Path) -> Measured:
    """Pearson's correlation, over the first layers where one network has more."""
    one, other = _deviations(weights(a)), _deviations(weights(b))
    count = min(len(one), len(other))
    if count < 3:  # two points always lie on a line
        return Measured(None)
    return Measured(torch.corrcoef(torch.stack([one[:count], other[:count]]))[0, 1].item())


MEASURE = Measure("σ of matrices", measure)
