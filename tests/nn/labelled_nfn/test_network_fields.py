"""What is read of a network: numbers of entries that do not depend on how many features an entry has."""

from __future__ import annotations

import math

import torch

from nfn_cli.nn.labelled.field import Coordinate
from nfn_cli.nn.labelled_nfn.network_fields import kind_of, moments


def test_moments_are_mean_and_logarithms_of_sizes() -> None:
    mean, root, size, largest = moments(torch.tensor([[3.0, -4.0]]).double())[0].tolist()
    assert mean == -0.5
    assert math.isclose(root, math.log(12.5**0.5), abs_tol=1e-5)
    assert math.isclose(size, math.log(3.5), abs_tol=1e-5) and math.isclose(largest, math.log(4), abs_tol=1e-5)


def test_kinds_say_how_coordinates_lie_and_not_how_many_features_there_are() -> None:
    head, unit = Coordinate((1,), None), Coordinate((1, 2), 0)
    assert (
        kind_of("weight", [head, unit], 9, "still")
        == kind_of("weight", [head, unit], 27, "still")
        == "weight* a b.0 still"
    )
    assert kind_of("weight", [head, head], 1, "odd") == "weight a a odd"
