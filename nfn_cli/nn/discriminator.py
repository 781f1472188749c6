"""A small network that separates the invariants of training networks from those of out-of-distribution ones.

Outlier exposure (Hendrycks et al. 2019, arXiv 1812.04606): what has learned to recognise some out-of-distribution
networks, made for the purpose, also recognises others. A distance cannot: in a population that ranges from untrained to
well trained networks every single invariant varies widely, and what is wrong is how they go together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HIDDEN = 64
# As many passes over its rows, so that a small population is not learnt by heart, but not more steps.
_PASSES, _MOST_STEPS = 12, 400
_BATCH = 256
_RATE = 3e-3
_WEIGHT_DECAY = 1e-2
# Beyond so many spreads nothing is to be learnt any more, and one invariant must not outweigh all others.
_LARGEST = 5.0


class Discriminator(nn.Module):
    """Maps standardised invariants to a logit, larger for out-of-distribution networks; 0 before it is fitted.

    Its weights are buffers, for they are no part of what predicts.

    Args:
        features: length of the vector of invariants.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self._sizes = (features, _HIDDEN, _HIDDEN, 1)
        for number, (inputs, outputs) in enumerate(zip(self._sizes, self._sizes[1:], strict=False)):
            self.register_buffer(f"weight_{number}", torch.zeros(outputs, inputs))
            self.register_buffer(f"bias_{number}", torch.zeros(outputs))

    def forward(self, invariants: Tensor) -> Tensor:
        """Logits [networks] of invariants [networks, features]."""
        hidden = invariants.clamp(-_LARGEST, _LARGEST)
        for number in range(len(self._sizes) - 1):
            hidden = F.gelu(hidden) if number else hidden
            hidden = F.linear(hidden, self.get_buffer(f"weight_{number}"), self.get_buffer(f"bias_{number}"))
        return hidden[:, 0]

    def fit(self, training: Tensor, others: Tensor, seed: int = 0) -> None:
        """Learn from invariants [networks, features] of training networks and of out-of-distribution ones, on the CPU.

        Both weigh the same, however many there are. The same invariants and seed give the same weights.
        """
        rows = torch.cat([training, others]).nan_to_num().clamp(-_LARGEST, _LARGEST)
        counts = torch.tensor([len(training), len(others)])
        strange = torch.tensor([0.0, 1.0]).repeat_interleave(counts)
        shares = (1 / counts).repeat_interleave(counts)
        for number, layer in enumerate(self._learnt(rows, strange, shares, torch.Generator().manual_seed(seed))):
            self.get_buffer(f"weight_{number}").copy_(layer.weight.detach())
            self.get_buffer(f"bias_{number}").copy_(layer.bias.detach())

    def _learnt(self, rows: Tensor, strange: Tensor, shares: Tensor, generator: torch.Generator) -> list[nn.Linear]:
        """The layers after some steps of AdamW, with a learning rate that falls to zero.

        Args:
            rows: invariants [n, features].
            strange: 1 for out-of-distribution networks, 0 for training ones [n].
            shares: how often a row is drawn [n].
        """
        steps = min(_MOST_STEPS, -(-_PASSES * len(rows) // _BATCH))
        pairs = zip(self._sizes, self._sizes[1:], strict=False)
        layers = [nn.utils.skip_init(nn.Linear, inputs, outputs) for inputs, outputs in pairs]
        for layer in layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
            nn.init.zeros_(layer.bias)
        network = nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        with torch.enable_grad():
            for _ in range(steps):
                drawn = torch.multinomial(shares, _BATCH, replacement=True, generator=generator)
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(network(rows[drawn])[:, 0], strange[drawn]).backward()
                optimizer.step()
                schedule.step()
        return layers
