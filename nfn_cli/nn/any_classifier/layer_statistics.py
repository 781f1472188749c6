"""What a matrix of weights says by itself: sizes, and statistics that no scale, sign or permutation changes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nfn_cli.nn.any_classifier.balanced_form import balanced

OWN = 29  # numbers that `layer_statistics` gives
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LARGEST_SIDE = 512
# Of a larger matrix the sizes alone count: no network that heads were fitted to has one, and it would take minutes.
_LARGEST = 1 << 22
_TINY = 1e-12


def layer_statistics(weight: Tensor, depth: float, *, has_bias: bool, has_gain: bool, sees_pixels: bool) -> Tensor:
    """Statistics of a layer, float64 [29].

    Args:
        weight: [out, in, *kernel].
        depth: where the layer lies, 0 for the first one and 1 for the last.
        has_bias: whether it has a bias. has_gain: whether a norm behind it has a gain.
        sees_pixels: whether its inputs are the pixels of the pictures, whose order no element of the group changes.
    """
    shape = (len(weight), weight.shape[1], weight[0, 0].numel())
    sizes = [float(weight.ndim > 2), *(math.log2(size) / 8 for size in shape), depth]
    if weight.numel() > _LARGEST:
        return torch.cat([torch.tensor(sizes).double(), torch.zeros(OWN - len(sizes)).double()])
    form = balanced(weight)
    rows = form.flatten(1)
    alike = _neighbours(form) if sees_pixels or weight.ndim == 4 else torch.zeros(4).double()
    beside = torch.tensor([float(has_bias), float(has_gain)]).double()
    return torch.cat([torch.tensor(sizes).double(), _spectrum(rows), _entries(rows), alike, beside])


def _spectrum(rows: Tensor) -> Tensor:
    """Of squared singular values: the largest against that of a random matrix, their entropy, their quantiles."""
    gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
    if len(gram) > _LARGEST_SIDE:  # moments alone: all eigenvalues of so large a matrix take long
        total = gram.trace().clamp_min(_TINY)
        flat = (gram.square().sum() / total.square()).clamp_min(_TINY)
        return torch.cat([torch.zeros(2).double(), (1 / flat / len(gram)).view(1), torch.zeros(5).double()])
    values = torch.linalg.eigvalsh(gram).clamp_min(0)
    shares = values / values.sum().clamp_min(_TINY)
    edge = (math.sqrt(rows.shape[0]) + math.sqrt(rows.shape[1])) ** 2 / (rows.shape[0] * rows.shape[1])
    entropy = -(shares * shares.clamp_min(_TINY).log()).sum() / max(1.0, math.log(len(shares)))
    quantiles = torch.quantile(shares * len(shares), torch.tensor(_SHARES).double())
    head = torch.stack([(shares[-1] / edge + _TINY).log(), (shares - edge).clamp_min(0).sum(), entropy])
    return torch.cat([head, (quantiles + 1e-6).log() / 4])


def _entries(rows: Tensor) -> Tensor:
    """Of balanced entries: how heavy their tails are, and quantiles of their sizes."""
    sizes = rows.abs().flatten()
    square = sizes.square().mean().clamp_min(_TINY)
    tails = [sizes.mean() / square.sqrt(), (sizes.pow(4).mean() / square**2 + _TINY).log(), (sizes.max() + 1).log()]
    ordered = sizes.sort().values  # torch.quantile takes 16 million entries at most
    places = torch.tensor([round(share * (len(ordered) - 1)) for share in _SHARES])
    alike = torch.nn.functional.normalize(rows, dim=1)
    cosines = (alike @ alike.T).fill_diagonal_(0).abs() if len(rows) <= _LARGEST_SIDE else torch.zeros(1, 1).double()
    return torch.cat([torch.stack([*tails, cosines.amax(1).mean(), cosines.max()]), ordered[places]])


def _neighbours(form: Tensor) -> Tensor:
    """How alike neighbouring weights of a kernel are, at one step and at two, and the middle's share of the kernel.

    A matrix may read a flattened picture. It has the picture for its kernel, if one of one or
    three channels fits its size: rows that learned from pictures are smooth.
    """
    if form.ndim == 4:
        picture = form
    else:
        sides = [(channels, math.isqrt(form.shape[1] // channels)) for channels in (1, 3)]
        fits = [(channels, side) for channels, side in sides if channels * side * side == form.shape[1] and side >= 8]
        if form.ndim != 2 or not fits:
            return torch.zeros(4).double()
        channels, side = fits[0]
        picture = form.view(len(form), channels, side, side)
    total = picture.square().sum().clamp_min(_TINY)
    height, width = picture.shape[2:]
    steps = [
        (picture[..., step:, :] * picture[..., : height - step, :]).sum() / total
        + (picture[..., step:] * picture[..., : width - step]).sum() / total
        for step in (1, 2)
        if step < min(height, width)
    ]
    middle = picture[..., height // 2, width // 2].square().sum() / total
    plain = picture.sum((2, 3)).square().sum() / total / (height * width)
    return torch.stack([*steps, *[total.new_zeros(())] * (2 - len(steps)), middle, plain])
