"""A network that is another one rounded is found, disguised or not; fine-tunes, however small, are not."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from traced_networks import NETWORKS, random_state, traced

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.given import read_two
from nfn_cli.symmetry.kinship.grids import KINDS, grid_of
from nfn_cli.symmetry.kinship.rounding import Rounded, rounded_to
from nfn_cli.symmetry.labelled import compose, identity
from nfn_cli.symmetry.sources import Draw, draw_element, inverted, read_any, transformed_by

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

State = dict[str, Tensor]
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def chain(seed: int = 0) -> State:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10))
    return {name: own.detach() for name, own in module.state_dict().items()}


def opened(state: State, activation: str = "relu") -> AnySource:
    given = Checkpoint(Path("memory"), "memory", state, {}, ordered=True)
    return read_any(given, Stated(activation, "none"), NetworkTracer())


@lru_cache
def state_of(name: str) -> State:
    architecture = traced(name)
    module = NETWORKS[name][0]().eval()
    drawn = random_state(architecture)
    return {own: drawn.get(own, tensor).to(tensor.dtype) for own, tensor in module.state_dict().items()}


def modules(name: str, a: State, b: State) -> tuple[AnySource, AnySource]:
    """Both as one module."""
    make, inputs = NETWORKS[name]
    module = make().eval()
    module.load_state_dict(a)
    return read_two(module, b, Stated(), inputs if name.endswith("llama") else None)


def by(kind: str, state: State, *, vectors: bool = True) -> State:
    """The state rounded to a kind; written without the code that is tested."""
    found = {}
    for name, own in state.items():
        new = own
        if own.is_floating_point() and (vectors or own.ndim > 1):
            if kind in HALVES:
                new = own.to(HALVES[kind]).to(own.dtype)
            elif own.ndim > 1:
                most = (
                    own.abs().flatten(1).amax(1).view(-1, *[1] * (own.ndim - 1))
                    if kind.endswith("row")
                    else own.abs().max()
                )
                new = (own / (most / 127)).round() * (most / 127)
        found[name] = new
    return found


def disguised(source: AnySource, seed: int) -> State:
    moved = transformed_by(source, draw_element(source, Draw((0.3, 3.0)), seed))
    return {**source.checkpoint.tensors, **moved}


def decided(a: AnySource, b: AnySource) -> Rounded | None:
    return rounded_to(a, b, align_to(a, b).element)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_was_rounded_is_found_to_the_bit(kind: str, activation: str) -> None:
    fine = opened(chain(), activation)
    rounded = opened(by(kind, chain(), vectors=False), activation)
    for a, b, which in ((fine, rounded, "B"), (rounded, fine, "A")):
        found = decided(a, b)
        assert found is not None
        assert (found.kind, found.which) == (kind, which)
        assert found.deviation <= (0 if kind in HALVES else 2e-7)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_that_was_rounded_and_disguised_then(kind: str, activation: str) -> None:
    fine = opened(chain(), activation)
    rounded = opened(disguised(opened(by(kind, chain()), activation), 1), activation)
    for a, b, which in ((fine, rounded, "B"), (rounded, fine, "A")):
        found = decided(a, b)
        assert found is not None
        assert (found.kind, found.which) == (kind, which)
        assert found.deviation < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_a_disguised_chain_that_was_rounded_before_its_disguise(kind: str) -> None:
    fine = opened(disguised(opened(chain()), 2))
    rounded = opened(by(kind, chain()))
    for a, b, which in ((fine, rounded, "B"), (rounded, fine, "A")):
        found = decided(a, b)
        assert found is not None
        assert (found.kind, found.which) == (kind, which)


@pytest.mark.parametrize("dtype", HALVES.values(), ids=HALVES)
def test_files_of_two_dtypes(dtype: torch.dtype) -> None:
    fine = opened(chain())
    rounded = opened({name: own.to(dtype) for name, own in chain().items()})
    assert decided(fine, rounded) == Rounded(str(dtype).removeprefix("torch."), "B", 0.0)
    # The scales of a disguise are rounded as well.
    disguise = opened({name: own.to(dtype) for name, own in disguised(fine, 3).items()})
    found = decided(fine, disguise)
    assert found is not None
    assert (found.kind, found.which) == (str(dtype).removeprefix("torch."), "B")


def test_from_one_half_precision_to_the_other() -> None:
    once = opened({name: own.half() for name, own in chain().items()})
    twice = opened({name: own.half().bfloat16() for name, own in chain().items()})
    assert decided(once, twice) == Rounded("bfloat16", "B", 0.0)


@pytest.mark.parametrize(("name", "kind"), [("residual", "bfloat16"), ("tied llama", "int8 per row")])
def test_modules(name: str, kind: str) -> None:
    state = state_of(name)
    a, b = modules(name, state, by(kind, state, vectors=False))
    still = identity(b.architecture)  # type: ignore[union-attr]
    found = rounded_to(a, b, still)
    assert found is not None
    assert (found.kind, found.which) == (kind, "B")
    # As found by alignment but for a little: the scales fitted to the rounded numbers are the right ones.
    drawn = draw_element(b, Draw((0.3, 3.0)), 4)
    a, hidden = modules(name, state, {**b.checkpoint.tensors, **transformed_by(b, drawn)})
    near = inverted(b, draw_element(b, Draw((0.9998, 1.0002), permute=False, flip=False), 5))
    back = compose(b.architecture, near, inverted(b, drawn))  # type: ignore[union-attr, arg-type]
    found = rounded_to(a, hidden, back)
    assert found is not None
    assert (found.kind, found.which) == (kind, "B")
    assert found.deviation < 1e-5


@pytest.mark.parametrize("noise", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("base", [None, *KINDS])
def test_a_fine_tune_is_not_rounded_however_small(base: str | None, noise: float) -> None:
    state = chain() if base is None else by(base, chain())
    generator = torch.Generator().manual_seed(5)
    tuned = {name: own + noise * torch.randn(own.shape, generator=generator) for name, own in state.items()}
    a, b = opened(state), opened(tuned)
    for one, other in ((a, b), (b, a), (a, opened(disguised(b, 6))), (opened(disguised(a, 7)), b)):
        assert decided(one, other) is None


@pytest.mark.parametrize("base", KINDS)
def test_one_step_of_adam_is_not_rounding(base: str) -> None:
    """It moves each number by as much: where a grid has one step, as far in its cell."""
    state = by(base, chain())
    generator = torch.Generator().manual_seed(5)
    for share in (0.2, 0.5, 0.9):
        tuned = {}
        for name, own in state.items():
            steps = grid_of(base, own).half_steps(own.double())
            tuned[name] = (own + share * steps.mean() * torch.randn(own.shape, generator=generator).sign()).float()
        a, b = opened(state), opened(tuned)
        assert decided(a, b) is None
        assert decided(opened(disguised(a, 8)), b) is None


def test_one_number_that_is_elsewhere_is_no_rounding() -> None:
    rounded = by("bfloat16", chain())
    weight = rounded["2.weight"].clone()
    weight[3, 4] = (weight[3, 4] * 1.02).bfloat16().float()
    assert decided(opened(chain()), opened({**rounded, "2.weight": weight})) is None


def test_a_bias_that_is_neither_rounded_nor_equal_is_no_rounding() -> None:
    rounded = by("int8 per tensor", chain(), vectors=False)
    moved = {**rounded, "2.bias": rounded["2.bias"] * 1.001}
    assert decided(opened(chain()), opened(moved)) is None
    assert decided(opened(disguised(opened(chain()), 2)), opened(moved)) is None
    assert decided(opened(disguised(opened(chain()), 2)), opened(rounded)) is not None


def test_a_replaced_layer_is_no_rounding() -> None:
    rounded = by("int8 per tensor", chain())
    other = by("int8 per tensor", chain(9))
    assert decided(opened(chain()), opened({**rounded, "2.weight": other["2.weight"]})) is None


def test_networks_that_are_equal_or_strangers_are_not_rounded() -> None:
    a = opened(chain())
    assert decided(a, a) is None
    assert decided(a, opened(disguised(a, 1))) is None
    assert decided(a, opened(by("bfloat16", chain(1)))) is None


@pytest.mark.parametrize("kind", KINDS)
def test_half_steps_reach_to_the_middle_of_two_levels(kind: str) -> None:
    values = torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).double()
    grid = grid_of(kind, values)
    levels = grid.nearest(values)
    assert bool(((values - levels).abs() <= grid.half_steps(levels) * (1 + 1e-12)).all())
    inside = levels + 0.49 * (values - levels).sign() * grid.half_steps(levels)
    assert torch.equal(grid.nearest(inside), levels)
    assert torch.equal(grid.rows(3, 7).nearest(values[3:7]), levels[3:7])
