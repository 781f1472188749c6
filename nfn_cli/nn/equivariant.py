"""Equivariant linear layers for the scaling and sign groups, and the nonlinearities that go between them.

Sources: arXiv 2409.11697, equations 14 to 19 (scalings) and appendix D (signs). In the paper's notation the layer is

    W'₁[j, k] = Σ_q p₁[k, q] W₁[j, q] + a[k] b₁[j]        b'₁[j] = Σ_q r₁[q] W₁[j, q] + s₁ b₁[j]
    W'ᵢ[j, k] = pᵢ Wᵢ[j, k]                               b'ᵢ[j] = sᵢ bᵢ[j]
    W'_L[j, k] = Σ_p p_L[j, p] W_L[p, k]                  b'_L[j] = Σ_p s_L[j, p] b_L[p] + τ[j]

and under signs W'_L also reads b_{L−1}, and b'_{L−1} reads W_L. On the fields of `Layout` all of this is one matrix a
field. Its parameters number Σ_fields (inputs × outputs): linear in depth, and, since hidden layers of a head carry
a fixed number of channels instead of the input and output axes, linear in n₀ and n_L.

>>> from nfn_cli.architectures import Layer, chain
>>> mlp = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu")
>>> layout = Layout.of(mlp)
>>> layer = MonomialLinear(layout, [field.features for field in layout.fields], [4, 4, 4])
>>> [tuple(values.shape) for values in layer([torch.ones(5, 8, 3), torch.ones(5, 8, 3), torch.ones(5, 3)])]
[(5, 8, 4), (5, 8, 4), (5, 4)]
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.layout import Layout
from nfn_cli.symmetry import DiagonalKind


class MonomialLinear(nn.Module):
    """Every linear map between weight spaces that commutes with the group.

    Args:
        layout: the fields; their hidden widths may be anything.
        inputs: features of each field that comes in, [fields]; `layout.features` for a weight space itself.
        outputs: features of each field that goes out.

    Only the field of invariants takes a constant term: nothing else stays what it is under the group.
    """

    def __init__(self, layout: Layout, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        sizes = zip(layout.fields, inputs, outputs, strict=True)
        self.maps = nn.ModuleList(
            nn.Linear(features_in, features_out, bias=not field.groups) for field, features_in, features_out in sizes
        )

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Map fields [batch, neurons..., inputs] to fields [batch, neurons..., outputs]."""
        return [linear(values) for linear, values in zip(self.maps, fields, strict=True)]


class EquivariantActivation(nn.Module):
    """A nonlinearity that commutes with the group: ReLU with d > 0, tanh with d = ±1.

    Args:
        inplace: overwrite the fields that come in.
    """

    def __init__(self, kind: DiagonalKind, *, inplace: bool = False) -> None:
        super().__init__()
        functions = {
            DiagonalKind.POSITIVE: (torch.relu, torch.relu_),
            DiagonalKind.SIGN: (torch.tanh, torch.tanh_),
        }
        self.function = functions[kind][inplace]

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Apply it to every entry."""
        return [self.function(values) for values in fields]
