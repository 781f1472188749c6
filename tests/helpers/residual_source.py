"""The source of a small residual network, as a user's file has it (`FILE.py:make`)."""

from __future__ import annotations


def residual_source(inputs: int, width: int, inner: int) -> str:
    """A stem, a skip around two linear layers, and a head of three outputs."""
    return f"""
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear({inputs}, {width})
        self.a, self.b = nn.Linear({width}, {inner}), nn.Linear({inner}, {width})
        self.fc = nn.Linear({width}, 3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.fc(torch.relu(x + self.b(torch.relu(self.a(x)))))

def make():
    return Residual()
"""
