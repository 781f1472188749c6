"""Erosion, against what it should give."""

from __future__ import annotations

import torch

from nfn_cli.nn.names import EDITS


def test_a_dot_vanishes_and_a_square_shrinks_to_one() -> None:
    picture = torch.full((1, 1, 5, 5), -1.0)
    picture[0, 0, 1, 2] = 1.0
    grown = torch.full((1, 1, 5, 5), -1.0)
    grown[0, 0, 0:3, 1:4] = 1.0
    assert torch.equal(EDITS["erode"](picture), torch.full((1, 1, 5, 5), -1.0))
    assert torch.equal(EDITS["erode"](grown)[0, 0, 1:4, 1:4], picture[0, 0, 1:4, 1:4])


def test_the_border_is_no_lighter_than_the_picture() -> None:
    light = torch.full((1, 1, 4, 4), 0.5)
    assert torch.equal(EDITS["erode"](light), light)


def test_values_beyond_the_range_are_cut_first() -> None:
    assert EDITS["erode"](torch.tensor([[[[1.5, -3.0], [0.0, 0.0]]]])).min() == -1
