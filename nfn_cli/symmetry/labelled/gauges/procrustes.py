"""Matrices that bring one array of coordinates next to another."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.symmetry.labelled.gauges.sampling import level_basis

_WORST = 1e8  # condition of a Gram matrix beyond which a space is left as it is
_ROUNDS = 8


def rotation_between(product: Tensor, *, levelled: bool) -> Tensor:
    """The orthogonal Q of least ‖Q·B − A‖ (Schönemann 1966).

    Args:
        product: A·Bᵀ, [n, n].
        levelled: among those that fix the vector of ones.

    Returns:
        float64 [n, n].
    """
    product = product.double()
    if levelled:
        n = len(product)
        basis = level_basis(n)
        inner = _polar(basis.T @ product @ basis)
        return torch.full((n, n), 1 / n, dtype=torch.float64) + basis @ inner @ basis.T
    return _polar(product)


def matrix_between(made: Tensor, read: Tensor, made_there: Tensor, read_there: Tensor) -> Tensor | None:
    """An invertible M with M·B next to A in what is made, and M⁻ᵀ·B in what is read.

    Both networks are brought to a basis in which what is made and what is read have one Gram matrix; what is left
    between these is a rotation. On one orbit this is exact, and noise does not shrink it, as it does least squares.

    Args:
        made, read: B's, [n, k] and [n, l].
        made_there, read_there: A's.

    Returns:
        float64 [n, n]; None where a Gram matrix is nearly singular.
    """
    ours, theirs = _balance(made, read), _balance(made_there, read_there)
    if ours is None or theirs is None:
        return None
    product = theirs @ (made_there @ made.T) @ ours.T
    inverse, inverse_there = torch.linalg.inv(ours), torch.linalg.inv(theirs)
    product = product + inverse_there.T @ (read_there @ read.T) @ inverse
    return inverse_there @ _polar(product) @ ours


def numbers_between(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> Tensor:
    """Complex z for each pair of coordinates, with z·q next to A's query and k / conj z next to its key.

    Least squares, relative to the sizes of A's: a phase in closed form for each absolute value, in turns.

    Args:
        ours, theirs: B's and A's queries and keys, complex128 [pairs, k] and [pairs, l].
    """
    query, key = ours
    q = _product(query, theirs[0]) / _sizes(theirs[0])
    k = _product(key, theirs[1]) / _sizes(theirs[1])
    own_q, own_k = _sizes(query) / _sizes(theirs[0]), _sizes(key) / _sizes(theirs[1])
    size = (own_k / own_q).sqrt().sqrt()
    phase = torch.zeros_like(size)
    for _ in range(_ROUNDS):
        phase = -(size * q + k / size).angle()
        turned = torch.polar(torch.ones_like(phase), phase)
        along_q, along_k = (q * turned).real, (k * turned).real
        for _ in range(_ROUNDS):
            # Newton's method in log size for s²·own_q − 2·s·along_q + own_k / s² − 2·along_k / s.
            first = 2 * size**2 * own_q - 2 * size * along_q - 2 * own_k / size**2 + 2 * along_k / size
            second = 4 * size**2 * own_q - 2 * size * along_q + 4 * own_k / size**2 - 2 * along_k / size
            step = torch.where(second > 0, -first / second, -0.1 * first.sign()).clamp(-0.5, 0.5)
            size = size * step.nan_to_num(0.0).exp()
    return torch.polar(size, phase)


def _product(ours: Tensor, theirs: Tensor) -> Tensor:
    return (ours * theirs.conj()).sum(-1)


def _sizes(values: Tensor) -> Tensor:
    return values.abs().square().sum(-1).clamp(min=torch.finfo(torch.float64).tiny)


def _polar(matrix: Tensor) -> Tensor:
    left, _, right = torch.linalg.svd(matrix)
    return left @ right


def _balance(made: Tensor, read: Tensor) -> Tensor | None:
    """T with T·G_made·Tᵀ = T⁻ᵀ·G_read·T⁻¹: the root of the geometric mean of G_made⁻¹ and G_read."""
    root = _powers(made @ made.T, (0.5, -0.5))
    if root is None or _powers(read @ read.T, (0.5,)) is None:
        return None
    half, minus_half = root
    inner = _powers(half @ (read @ read.T) @ half, (0.5,))
    if inner is None:
        return None
    found = _powers(minus_half @ inner[0] @ minus_half, (0.5,))
    return None if found is None else found[0]


def _powers(gram: Tensor, powers: tuple[float, ...]) -> tuple[Tensor, ...] | None:
    values, vectors = torch.linalg.eigh((gram + gram.T) / 2)
    if not bool(values.isfinite().all()) or values[-1] <= 0 or values[0] * _WORST < values[-1]:
        return None
    return tuple((vectors * values.pow(power)) @ vectors.T for power in powers)
