"""Statistics of a network's weights that no symmetry changes.

Of every tensor of the `unit` form: mean, log variance and quantiles of its entries, by magnitude where signs may
change (as in Unterthiner et al. 2020, arXiv 2002.11448, there on the weights as they are). Of every weight also the
spectrum of its matrix [out, in × kernel], which signs and permutations leave alone: log norm, stable rank, entropy, and
quantiles of the singular values. How many there are does not depend on hidden widths.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, TensorSpec
from nfn_cli.nn.quantiles import row_quantiles
from nfn_cli.symmetry import DiagonalKind, group_kind

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_OF_ENTRIES = 2 + len(QUANTILES)
_OF_SPECTRUM = 3 + len(QUANTILES)
_TINY = 1e-20


def statistics_count(architecture: Architecture) -> int:
    """How many statistics there are."""
    weights = sum(len(spec.shape) > 1 for spec in architecture.tensors)
    return _OF_ENTRIES * len(architecture.tensors) + _OF_SPECTRUM * weights


def weight_statistics(unit: NetworkWeights) -> Tensor:
    """Invariant statistics, float64 [networks, statistics_count], on a scale on which they can be averaged.

    Args:
        unit: from `unit_scaled`, tensors [networks, *shape].
    """
    architecture = unit.architecture
    columns: list[Tensor] = []
    for spec in architecture.tensors:
        tensor = unit.tensors[spec.name].double()
        columns += _of_entries(_signless(tensor, spec, architecture).flatten(1))
        if len(spec.shape) > 1:
            columns += _of_spectrum(tensor.flatten(2))
    values = torch.cat(columns, dim=1)
    return values.sign() * values.abs().log1p()


def _signless(tensor: Tensor, spec: TensorSpec, architecture: Architecture) -> Tensor:
    kinds = [(role, group_kind(architecture, role.group)) for role in spec.roles if role.group is not None]
    for role, kind in kinds:
        # Half-turns of phase and signs leave cos 2ω₀b.
        if role.bias and kind is DiagonalKind.SIGN and architecture.groups[role.group or 0].activation == "sin":
            return torch.cos(2 * architecture.omega_0 * tensor)
    signed = any(kind in (DiagonalKind.SIGN, DiagonalKind.NONZERO) for _, kind in kinds)
    return tensor.abs() if signed else tensor


def _of_entries(rows: Tensor) -> list[Tensor]:
    mean = rows.mean(1, keepdim=True)
    variance = (rows - mean).square().mean(1, keepdim=True)  # as `var` gives it, several times as fast
    return [mean, (variance + _TINY).log(), row_quantiles(rows, QUANTILES)]


def _of_spectrum(matrices: Tensor) -> list[Tensor]:
    sizes = torch.linalg.matrix_norm(matrices)[:, None]
    values = _singular_values(matrices / torch.where(sizes > 0, sizes, 1.0)[:, :, None])
    shares = values.square().clamp_min(_TINY)
    largest = values[:, :1].clamp_min(_TINY)
    return [
        (sizes + _TINY).log(),
        shares.sum(1, keepdim=True) / shares[:, :1],
        -(shares * shares.log()).sum(1, keepdim=True),
        row_quantiles(values / largest, QUANTILES),
    ]


def _singular_values(matrices: Tensor) -> Tensor:
    """Falling, [batch, the smaller side]. From the eigenvalues of the smaller Gram matrix, which is many times as fast
    for a batch; in float64 that costs values below 10⁻⁸ of the largest, which mean nothing in float32 weights."""
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    return torch.linalg.eigvalsh(wide @ wide.mT).clamp_min(0).sqrt().flip(1)
