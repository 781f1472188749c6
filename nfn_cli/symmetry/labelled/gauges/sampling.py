"""Random elements of gauges."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.labelled.gauges.turns import KnownGauge, Turn, known_gauges, pair_matrices


def sample_turns(architecture: LabelledArchitecture, generator: Generator) -> tuple[Turn, ...]:
    """One random element of each gauge that nfn can act by.

    Rotations are uniform; other matrices are a rotation, positive scales with logarithms of standard deviation ½, and
    a rotation; so are the absolute values of complex numbers, with uniform phases. All gains become 1.
    """
    return tuple(Turn(known, _sampled(known, generator)) for known in known_gauges(architecture))


def _sampled(known: KnownGauge, generator: Generator) -> Tensor:
    spaces, n = known.spaces, known.n
    if known.action.group == "phases":
        logs, angles = 0.5 * _normal(generator, spaces), torch.pi * _normal(generator, spaces)
        return pair_matrices(torch.polar(logs.exp(), angles))
    if known.action.group == "levelled":
        return torch.stack([_fixing_ones(_rotation(generator, n - 1)) for _ in range(spaces)])
    rotations = torch.stack([_rotation(generator, n) for _ in range(spaces)])
    if known.action.group == "orthogonal":
        return rotations
    scales = (0.5 * _normal(generator, spaces, n)).exp()
    return rotations @ (scales[..., None] * torch.stack([_rotation(generator, n) for _ in range(spaces)]))


def level_basis(n: int) -> Tensor:
    """Columns that are orthonormal and have mean 0, float64 [n, n − 1]."""
    start = torch.cat([torch.ones(n, 1, dtype=torch.float64), torch.eye(n, dtype=torch.float64)[:, : n - 1]], 1)
    return torch.linalg.qr(start)[0][:, 1:]


def _fixing_ones(inner: Tensor) -> Tensor:
    basis = level_basis(len(inner) + 1)
    return torch.full((len(inner) + 1,) * 2, 1 / (len(inner) + 1), dtype=torch.float64) + basis @ inner @ basis.T


def _rotation(generator: Generator, n: int) -> Tensor:
    """Uniform among orthogonal matrices."""
    q, r = torch.linalg.qr(_normal(generator, n, n))
    return q * r.diagonal().sign()


def _normal(generator: Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)
