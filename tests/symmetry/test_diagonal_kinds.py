"""Which diagonals commute with an activation, found by trying them."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.architectures import FUNCTIONS, Layer, chain
from nfn_cli.symmetry import DiagonalKind, diagonal_kind
from nfn_cli.symmetry.diagonal_kinds import depends_on_pooling, phase_step

# By what commutes of a positive, a sign, and both: the kind.
KINDS = {
    (True, True, True): DiagonalKind.NONZERO,
    (True, False, False): DiagonalKind.POSITIVE,
    (False, True, False): DiagonalKind.SIGN,
    (False, False, False): DiagonalKind.TRIVIAL,
}


def kind_by_trial(activation: str, pool: str | None) -> DiagonalKind:
    """Compare σ(d·x) with d·σ(x), pooled over pairs."""
    values = torch.linspace(-3, 3, 121, dtype=torch.float64)
    pairs = torch.cartesian_prod(values, values)

    def layer(hidden: torch.Tensor) -> torch.Tensor:
        activated = FUNCTIONS[activation](hidden)
        return activated if pool is None else activated.amax(1) if pool == "max" else activated.mean(1)

    def commutes(diagonal: float) -> bool:
        return torch.allclose(layer(diagonal * pairs), diagonal * layer(pairs), rtol=1e-12, atol=1e-12)

    return KINDS[commutes(2.5), commutes(-1.0), commutes(-2.5)]


@pytest.mark.parametrize("pool", [None, "avg", "max"])
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_the_kind_is_what_commutes_with_activation_and_pooling(activation: str, pool: str | None) -> None:
    assert diagonal_kind(activation, pool) is kind_by_trial(activation, pool)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "prelu"])
def test_max_pooling_leaves_scalings(activation: str) -> None:
    assert diagonal_kind(activation, "max") is DiagonalKind.POSITIVE


@pytest.mark.parametrize("activation", ["tanh", "sin", "softsign", "erf"])
def test_max_pooling_takes_signs_away(activation: str) -> None:
    assert diagonal_kind(activation) is DiagonalKind.SIGN
    assert diagonal_kind(activation, "avg") is DiagonalKind.SIGN
    assert diagonal_kind(activation, "max") is DiagonalKind.TRIVIAL


@pytest.mark.parametrize("activation", ["gelu", "silu", "sigmoid", "softmax", "an activation that is not known"])
def test_any_other_activation_has_permutations_alone(activation: str) -> None:
    assert diagonal_kind(activation) is DiagonalKind.TRIVIAL


@pytest.mark.parametrize(
    ("activation", "has_bias", "pool", "step"),
    [("sin", True, None, 1), ("sin", True, "max", 2), ("sin", False, None, 0), ("tanh", True, None, 0)],
)
def test_a_phase_needs_a_sine_and_a_bias(activation: str, has_bias: bool, pool: str | None, step: int) -> None:
    layers = [Layer("a", "linear", 2, 4, has_bias=has_bias), Layer("b", "linear", 4, 1)]
    assert phase_step(chain(layers, activation=activation, pool=pool), 0) == step


@pytest.mark.parametrize(
    ("activation", "pool", "depends"),
    [("tanh", None, True), ("tanh", "avg", False), ("relu", None, False), ("identity", None, True)],
)
def test_signs_behind_convolutions_depend_on_the_pooling(activation: str, pool: str | None, depends: bool) -> None:
    layers = [Layer("a", "conv", 1, 4, (3, 3)), Layer("b", "linear", 4, 1)]
    assert depends_on_pooling(chain(layers, activation=activation, pool=pool)) is depends
    assert not depends_on_pooling(chain(layers[1:], activation=activation, pool=pool))
