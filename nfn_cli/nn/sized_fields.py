"""Fields that keep what a network's unit form says of the sizes of its entries, and statistics of these.

An entry of unit norm (`read_fields`) says nothing of how large it is beside the others of its neuron: a bias becomes
its sign, and a pruned kernel looks like any other. The size of a single entry is no invariant, but its size in the unit
form is, where the incoming weights and bias of each hidden neuron have a joint norm of 1. Signs change no size: there
fields stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.nn.layout import Layout
from nfn_cli.nn.quantiles import row_quantiles
from nfn_cli.nn.weight_statistics import QUANTILES
from nfn_cli.symmetry import DiagonalKind, unit_scaled

_STATISTICS = 2 + len(QUANTILES)
_TINY = 1e-20


def statistics_count(layout: Layout) -> int:
    """How many statistics `read_sized_fields` gives, beside the fields."""
    return 2 * _STATISTICS * sum(bool(field.groups) for field in layout.fields)


def read_sized_fields(
    layout: Layout, point: NetworkWeights, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> list[Tensor]:
    """The fields of a batch of networks, [batch, neurons..., features] each, and their statistics, [batch, statistics].

    Under scalings an entry x of the unit form becomes x ln(1 + ‖x‖)/‖x‖, so that the last layer, which takes all
    scales, does not outgrow the rest. The statistics are mean, log variance and quantiles of the norms of entries, and
    of all their numbers (magnitudes, under signs), field by field.
    """
    signs = layout.kind is DiagonalKind.SIGN
    packed = [values.double() for values in layout.pack(point if signs else unit_scaled(point))]
    fields = packed if signs else [_compressed(values) for values in packed]
    columns = []
    for field, values in zip(layout.fields, fields, strict=True):
        if field.groups:
            norms = torch.linalg.vector_norm(values, dim=-1).flatten(1)
            numbers = values.flatten(1)
            columns += [_statistics(norms), _statistics(numbers.abs() if signs else numbers)]
    statistics = torch.cat(columns, dim=1)
    compressed = statistics.sign() * statistics.abs().log1p()
    return [values.to(dtype).to(device) for values in (*fields, compressed)]


def _compressed(values: Tensor) -> Tensor:
    # The largest entry first: a square may leave the range of float64.
    largest = values.abs().amax(-1, keepdim=True)
    directions = values / torch.where(largest > 0, largest, 1.0)
    norms = torch.linalg.vector_norm(directions, dim=-1, keepdim=True).clamp_min(1.0)
    return directions / norms * (norms * largest).log1p()


def _statistics(rows: Tensor) -> Tensor:
    """Mean, log variance and quantiles of rows [batch, numbers]: [batch, 9]."""
    mean = rows.mean(1, keepdim=True)
    variance = (rows - mean).square().mean(1, keepdim=True)
    return torch.cat([mean, (variance + _TINY).log(), row_quantiles(rows, QUANTILES)], dim=1)
