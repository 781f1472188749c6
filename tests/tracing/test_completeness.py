"""The traced group is the whole monomial group: its size is what force finds, on modules small enough for that."""

from __future__ import annotations

import pytest
import torch
from counted_by_force import Small, permutation_order, scale_dimension, sign_dimension
from small_networks import SMALL
from soundness import deviations
from torch import nn
from traced_group import Counts, group_of

# Found smaller than it is, and why.
SMALLER = {
    "experts": "a product over batches by `einsum` has a weight's axes apart from each other: all experts move alike",
    "halves in another order": "halves that are taken apart are told from each other, whatever is made of them",
}
NAMED = [pytest.param(make, id=make().name) for make in SMALL]


@pytest.mark.parametrize("make", NAMED)
def test_the_whole_group_is_found(make) -> None:
    pytest.importorskip("nfn_cli.architectures.tracing.tracer")
    torch.manual_seed(0)
    small = make()
    group = group_of(small.module, small.inputs)
    by_force = Counts(permutation_order(small), scale_dimension(small), sign_dimension(small))
    assert by_force.signs is not None
    if small.name in SMALLER:
        assert by_force.order % group.counts.order == 0 and group.counts != by_force
        assert group.counts.scales <= by_force.scales and group.counts.signs <= by_force.signs
    else:
        assert group.counts == by_force, f"found {group.counts}, by force {by_force}"
    found = deviations(small.module, small.inputs, group)
    assert max(found.values()) < 1e-10, found


# --- what counts by force is tried where the group is known -----------------------------------------------------


def test_force_counts_a_chain() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    small = Small("chain", net, (torch.randn(8, 2, dtype=torch.float64),))
    assert (permutation_order(small), scale_dimension(small), sign_dimension(small)) == (6 * 2, 5, 0)


def test_force_counts_signs_and_no_scales_of_tanh() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    small = Small("tanh", net, (torch.randn(8, 2, dtype=torch.float64),))
    assert (permutation_order(small), scale_dimension(small), sign_dimension(small)) == (6, 0, 3)


def test_force_sees_a_constant_that_tells_neurons_apart() -> None:
    torch.manual_seed(0)

    class Marked(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self[1](torch.relu(self[0](x)) * torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64) + 1)

    small = Small(
        "marked", Marked(nn.Linear(2, 3), nn.Linear(3, 1)).double(), (torch.randn(8, 2, dtype=torch.float64),)
    )
    assert (permutation_order(small), scale_dimension(small), sign_dimension(small)) == (2, 0, 0)
