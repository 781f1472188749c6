"""Tensors of one number, of no axes, are compared like all others."""

from __future__ import annotations

import torch
from torch import nn

from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry.labelled import act, bounded, sample
from nfn_cli.symmetry.labelled.alignment import align


def test_another_network_with_one_output_is_another() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).double().eval()
    ours = {name: tensor.detach() for name, tensor in module.state_dict().items()}
    architecture = trace(export(module, (torch.zeros(2, 4, dtype=torch.float64),)))
    element = bounded(sample(architecture, torch.Generator().manual_seed(1)), architecture, ours)
    theirs = act(element, architecture, ours)
    assert align(architecture, ours, theirs).same_orbit
    assert not align(architecture, ours, {**theirs, "2.bias": 1.5 * theirs["2.bias"]}).same_orbit
    assert not align(architecture, ours, {**theirs, "2.weight": 1.5 * theirs["2.weight"]}).same_orbit
