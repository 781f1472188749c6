"""Which of two modules comes first, by name."""

from __future__ import annotations

import pytest

from nfn_cli.architectures.names import precedes, tokens


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conv10", ("conv", 10)),
        ("features.0", ("features", 0)),
        ("layers_3.Linear", ("layers", 3, "linear")),
        ("conv1_2", ("conv", 1, 2)),
        ("conv3x3", ("conv", "3x3")),
        ("", ()),
    ],
)
def test_a_name_is_words_and_numbers(name: str, expected: tuple[int | str, ...]) -> None:
    assert tokens(name) == expected


@pytest.mark.parametrize(
    ("first", "second"), [("conv2", "conv10"), ("a.2.b", "a.10.a"), ("conv1_10", "conv2_1"), ("l09", "l10")]
)
def test_a_lower_number_is_before_a_higher_one(first: str, second: str) -> None:
    for by_convention in (False, True):
        assert precedes(tokens(first), tokens(second), by_convention=by_convention)
        assert not precedes(tokens(second), tokens(first), by_convention=by_convention)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("encoder.fc", "middle.fc"),
        ("middle.fc", "decoder.fc"),
        ("encoder.fc", "decoder.fc"),
        ("input_layer", "hidden.0"),
        ("hidden.0", "fc_out"),
        ("features.0", "classifier"),
        ("layers.3", "layers.final"),
        ("dense", "dense_1"),
    ],
)
def test_words_are_ordered_by_convention_alone(first: str, second: str) -> None:
    assert precedes(tokens(first), tokens(second), by_convention=True)
    assert not precedes(tokens(second), tokens(first), by_convention=True)
    assert not precedes(tokens(first), tokens(second), by_convention=False)


@pytest.mark.parametrize(("one", "other"), [("conv1", "fc2"), ("alpha", "beta"), ("fc1", "fc1"), ("fc", "fc.x")])
def test_other_words_have_no_order(one: str, other: str) -> None:
    assert not precedes(tokens(one), tokens(other), by_convention=True)
    assert not precedes(tokens(other), tokens(one), by_convention=True)
