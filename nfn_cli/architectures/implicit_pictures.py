"""The values of a batch of implicit neural representations at coordinates, by batched matrix products.

The chains are of linear layers with biases alone, such as SIREN (Sitzmann et al. 2020, arXiv 2006.09661);
`population_forward` computes other chains.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.architectures.activations import FUNCTIONS


def picture_values(
    tensors: Sequence[Tensor],
    places: Tensor,
    activation: str,
    frequencies: Sequence[float],
    hidden_layers: list[tuple[Tensor, Tensor]] | None = None,
    *,
    channels_first: bool = False,
) -> Tensor:
    """Values [batch, coordinates, outputs]; differentiable.

    >>> weight, bias = torch.tensor([[[1.0, 0.0]]]), torch.zeros(1, 1)
    >>> picture_values([weight, bias], torch.tensor([[-1.0, 0.5]]), "sin", [])
    tensor([[[-1.]]])

    Args:
        tensors: first weight [batch, out, in], first bias [batch, out], ...
        places: coordinates [coordinates, in], the same for all networks, or [batch, coordinates, in].
        activation: of the hidden layers, one of `FUNCTIONS`.
        frequencies: ω₀ of the sine behind each hidden layer, sin(ω₀ z); other activations ignore them.
        hidden_layers: a list to which each hidden layer appends the input of its activation (ω₀ z for a sine) and its
            output, [batch, coordinates, neurons] each.
        channels_first: return values [batch, outputs, coordinates] instead, as pictures are drawn.
    """
    weights, biases = tensors[::2], tensors[1::2]
    hidden = places.to(weights[0]).expand(len(weights[0]), -1, -1)
    in_place = activation == "sin" and hidden_layers is None and not torch.is_grad_enabled()
    for layer, (weight, bias) in enumerate(zip(weights[:-1], biases[:-1], strict=True)):
        factor = frequencies[layer] if activation == "sin" else 1.0
        before = torch.baddbmm(bias[:, None], hidden, weight.mT, beta=factor, alpha=factor)
        hidden = before.sin_() if in_place else FUNCTIONS[activation](before)
        if hidden_layers is not None:
            hidden_layers.append((before, hidden))
    if channels_first:
        return torch.baddbmm(biases[-1][..., None], weights[-1], hidden.mT)
    return torch.baddbmm(biases[-1][:, None], hidden, weights[-1].mT)
