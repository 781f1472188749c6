"""A mixture of experts, evaluated by all of them: those that the router does not choose have weight 0."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.parts.norms import narrowed, widened
from nfn_cli.architectures.families.parts.placing import put


class Experts(nn.Module):
    """Gated experts behind a router that mixes the best few of them, as in Mixtral.

    Args:
        width: of the stream.
        hidden: of each expert.
        experts: how many there are.
        chosen: how many the router mixes.
        activation: of the gate.
        packed: whether tensors hold all experts at once (as transformers 5 keeps them in memory), or one each (as files
            have them).
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        experts: int,
        chosen: int,
        activation: Callable[[Tensor], Tensor],
        *,
        packed: bool,
    ) -> None:
        super().__init__()
        self.count, self.chosen, self.activation = experts, chosen, activation
        self.gate = nn.Linear(width, experts, bias=False)
        if packed:
            self.experts = _Packed(width, hidden, experts)
            return
        for expert in range(experts):
            put(self, f"experts.{expert}.w1", nn.Linear(width, hidden, bias=False))
            put(self, f"experts.{expert}.w2", nn.Linear(hidden, width, bias=False))
            put(self, f"experts.{expert}.w3", nn.Linear(width, hidden, bias=False))

    def forward(self, values: Tensor) -> Tensor:
        chances = torch.softmax(widened(self.gate(values)), dim=-1)
        best, places = torch.topk(chances, self.chosen, dim=-1)
        shares = torch.zeros_like(chances).scatter(-1, places, best / best.sum(dim=-1, keepdim=True))
        gate, up, down = self._weights()
        each = values.unsqueeze(1)  # [batch, 1, tokens, width], against [experts, width, hidden]
        inner = self.activation(torch.matmul(each, gate.transpose(1, 2))) * torch.matmul(each, up.transpose(1, 2))
        outer = torch.matmul(inner, down.transpose(1, 2))  # [batch, experts, tokens, width]
        return (outer * narrowed(shares, values).transpose(1, 2).unsqueeze(-1)).sum(dim=1)

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gate, up and down projections of all experts."""
        if isinstance(self.experts, _Packed):
            gate, up = self.experts.gate_up_proj.chunk(2, dim=1)
            return gate, up, self.experts.down_proj
        return self._stacked("w1"), self._stacked("w3"), self._stacked("w2")

    def _stacked(self, name: str) -> Tensor:
        """The weights of one layer of all experts [experts, outputs, inputs]."""
        names = [f"experts.{expert}.{name}.weight" for expert in range(self.count)]
        return torch.stack([self.get_parameter(each) for each in names])


class _Packed(nn.Module):
    """Weights of all experts: [experts, 2 · hidden, width], gates before ups, and [experts, width, hidden]."""

    def __init__(self, width: int, hidden: int, experts: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(experts, 2 * hidden, width))
        self.down_proj = nn.Parameter(torch.empty(experts, width, hidden))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.02)
