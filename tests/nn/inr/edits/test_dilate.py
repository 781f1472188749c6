"""Dilation, against what it should give."""

from __future__ import annotations

import torch

from nfn_cli.nn.names import EDITS


def test_a_dot_grows() -> None:
    picture = torch.full((1, 1, 5, 5), -1.0)
    picture[0, 0, 1, 2] = 1.0
    grown = torch.full((1, 1, 5, 5), -1.0)
    grown[0, 0, 0:3, 1:4] = 1.0
    assert torch.equal(EDITS["dilate"](picture), grown)


def test_the_border_is_no_darker_than_the_picture() -> None:
    dark = torch.full((1, 1, 4, 4), -0.5)
    assert torch.equal(EDITS["dilate"](dark), dark)


def test_values_beyond_the_range_are_cut_first() -> None:
    assert EDITS["dilate"](torch.tensor([[[[1.5, -3.0], [0.0, 0.0]]]])).max() == 1
