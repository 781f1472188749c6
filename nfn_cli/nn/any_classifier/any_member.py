"""One network of a head for any classifier: from statistics of a network to the logit of its accuracy.

Every layer's statistics become a token. Tokens look at one another (self-attention over depth), and their mean, their
largest values, the first and the last of them join what is known of the whole network and of its answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.any_classifier.network_statistics import ANSWERS, TOKEN, WHOLE

HEADS = 4  # of the attention, among which the channels of a token are dealt
_REACH = 5.0  # a statistic further out than so many spreads counts as if it were there
_FAR = -1e4


class AnyMember(nn.Module):
    """Maps a batch of networks to one logit each.

    Args:
        width: channels of a token, a multiple of 4.
        hidden: units of the readout.
        dropout: of the readout.
        answers: whether it looks at the networks' answers to probe pictures.
    """

    def __init__(self, width: int, hidden: int, dropout: float, *, answers: bool) -> None:
        super().__init__()
        self.answers = answers
        rest = WHOLE + answers * ANSWERS
        for name, size in (("layer", TOKEN), ("rest", rest)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        self.enter = nn.Sequential(nn.Linear(TOKEN, width), nn.GELU(), nn.Linear(width, width))
        self.look = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.after = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.beside = nn.Sequential(nn.Linear(rest, hidden), nn.GELU(), nn.Dropout(dropout))
        self.readout = nn.Sequential(
            nn.Linear(4 * width + hidden, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    layer_mean: Tensor
    layer_scale: Tensor
    rest_mean: Tensor
    rest_scale: Tensor

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set the standardising constants by training networks."""
        layers, depth, whole, answers = inputs
        there = torch.arange(layers.shape[1], device=layers.device) < depth[:, None]
        self._standardise("layer", layers[there])
        self._standardise("rest", self._rest(whole, answers))

    def _standardise(self, name: str, values: Tensor) -> None:
        own = values.double()
        deviation = own.std(0, correction=0)
        getattr(self, f"{name}_mean").copy_(own.mean(0))
        getattr(self, f"{name}_scale").copy_(torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), 0.0))

    def _rest(self, whole: Tensor, answers: Tensor) -> Tensor:
        return torch.cat([whole, answers], 1) if self.answers else whole

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [networks] of `layers`, `depth`, `whole` and `answers` as in `NetworkStatistics`."""
        layers, depth, whole, answers = inputs
        absent = torch.arange(layers.shape[1], device=layers.device) >= depth[:, None]
        tokens = self.enter(_standard(layers, self.layer_mean, self.layer_scale))
        looked, _ = self.look(tokens, tokens, tokens, key_padding_mask=absent, need_weights=False)
        tokens = tokens + looked
        tokens = tokens + self.after(tokens)
        present = (~absent)[:, :, None].to(tokens.dtype)
        last = tokens[torch.arange(len(depth), device=depth.device), depth - 1]
        mean = (tokens * present).sum(1) / depth[:, None]
        largest = tokens.masked_fill(absent[:, :, None], _FAR).amax(1)
        rest = self.beside(_standard(self._rest(whole, answers), self.rest_mean, self.rest_scale))
        found: Tensor = self.readout(torch.cat([tokens[:, 0], last, mean, largest, rest], 1))[:, 0]
        return found


def _standard(values: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Standardised, large values drawn in: smoothly, so that no gradient or difference vanishes at once."""
    return _REACH * torch.tanh((values - mean) * scale / _REACH)
