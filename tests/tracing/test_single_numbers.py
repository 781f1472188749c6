"""Parameters without axes are parameters like others."""

from __future__ import annotations

import torch
from soundness import deviations
from torch import Tensor, nn
from traced_group import group_of


class Shifted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)
        self.gain, self.shift = nn.Parameter(torch.tensor(1.3)), nn.Parameter(torch.tensor(0.2))

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.b(self.gain * torch.relu(self.a(x)) + self.shift)
        return made


def test_a_single_number_is_multiplied_and_added() -> None:
    torch.manual_seed(0)
    module, inputs = Shifted().double().eval(), (torch.randn(5, 4, dtype=torch.float64),)
    group = group_of(module, inputs)
    assert max(deviations(module, inputs, group, samples=3).values()) < 1e-10
    assert group.counts.order == 40_320
