"""Networks in flat rows: the named tensors are views of the rows, and cover them."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.zoo import Siren
from nfn_cli.zoo.flat_network import FlatNetwork
from nfn_cli.zoo.small_cnn import SmallCnn


@pytest.mark.parametrize("network", [SmallCnn(3, 7, width=4), Siren(3, 5, 3)], ids=["cnn", "siren"])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)], ids=str)
def test_every_number_of_a_row_is_in_one_tensor(network: FlatNetwork, batch: tuple[int, ...]) -> None:
    rows = torch.zeros(*batch, network.parameter_count)
    tensors = network.split(rows)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: (*batch, *shape) for name, shape in network.shapes.items()
    }
    for number, tensor in enumerate(tensors.values(), start=1):
        tensor += number  # a view: the row changes
    order = [
        number for number, shape in enumerate(network.shapes.values(), 1) for _ in range(torch.Size(shape).numel())
    ]
    assert torch.equal(rows, torch.tensor(order).float().expand(*batch, -1))
