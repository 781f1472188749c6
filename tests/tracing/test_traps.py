"""Modules with a trap each: the traced group is sound, and whole where that can be known by number.

Wrong here means: a moved module answers differently. A refusal is a good answer where the trap says so, and it names an
operator; a smaller group is one where the table says so.
"""

from __future__ import annotations

import pytest
import torch
import traps_of_rules
from counted_by_force import permutation_order, scale_dimension, sign_dimension
from small_networks import Net, batch
from soundness import deviation, deviations, outputs
from traced_group import Counts, RefusedError, group_of, names_an_operator
from trap_counts import AT_MOST, BY_HAND, WHOLE
from traps import TRAPS, Trap

assert set(TRAPS.made) >= traps_of_rules.PUBLISHED


def made(name: str) -> Trap:
    torch.manual_seed(0)
    return TRAPS.made[name]()


@pytest.mark.parametrize("name", TRAPS.made)
def test_no_trap_is_stepped_into(name: str) -> None:
    pytest.importorskip("nfn_cli.architectures.tracing.tracer")
    trap = made(name)
    module, inputs = trap.small.module, trap.small.inputs
    try:
        group = group_of(module, inputs)
    except RefusedError as error:
        assert trap.may_refuse, f"refused: {error}"
        assert names_an_operator(str(error), module, inputs), str(error)
        return
    found = deviations(module, inputs, group, samples=3)
    assert max(found.values()) < 1e-10, found
    whole = {**WHOLE, **BY_HAND}.get(name)
    assert whole is None or group.counts == whole, f"found {group.counts}, in truth {whole}"
    most = AT_MOST.get(name)
    if most is not None:
        assert most.order % group.counts.order == 0, f"found {group.counts}, at most {most}"
        assert group.counts.scales <= most.scales, f"found {group.counts}, at most {most}"
        assert group.counts.signs <= most.signs, f"found {group.counts}, at most {most}"


@pytest.mark.parametrize("name", [name for name in TRAPS.made if made(name).others])
def test_what_was_not_read_in_tracing_moves_too(name: str) -> None:
    """Rows of a table behind the traced length: longer inputs read them."""
    pytest.importorskip("nfn_cli.architectures.tracing.tracer")
    trap = made(name)
    module = trap.small.module
    group = group_of(module, trap.small.inputs)
    for inputs in trap.others:
        expected = outputs(module, dict(module.state_dict()), inputs)
        for seed in range(4):
            assert deviation(expected, outputs(module, group.sample(seed), inputs)) < 1e-10


@pytest.mark.parametrize("name", [name for name in TRAPS.made if made(name).moves])
def test_a_permutation_moves_every_tensor_of_its_neurons(name: str) -> None:
    pytest.importorskip("nfn_cli.architectures.tracing.tracer")
    trap = made(name)
    state = trap.small.module.state_dict()
    group = group_of(trap.small.module, trap.small.inputs)
    samples = [group.sample(seed, scale=False, sign=False) for seed in range(6)]
    for tensor in trap.moves:
        assert any(not torch.equal(moved[tensor], state[tensor]) for moved in samples), f"{tensor} stays"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WHOLE, *AT_MOST])
def test_the_numbers_are_those_of_force(name: str) -> None:
    small = made(name).small
    counted = Counts(permutation_order(small), scale_dimension(small), sign_dimension(small) or 0)
    assert counted == {**WHOLE, **AT_MOST}[name]


def test_random_numbers_are_refused() -> None:
    def forward(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        return net.b(torch.nn.functional.dropout(net.a(x), 0.5, True))

    module = Net(forward, a=torch.nn.Linear(2, 3), b=torch.nn.Linear(3, 2))
    with pytest.raises(RefusedError, match=r"aten\.dropout: random numbers"):
        group_of(module, batch(8, 2))


def test_every_number_is_of_a_trap() -> None:
    tables = (WHOLE, AT_MOST, BY_HAND)
    assert set().union(*tables) <= set(TRAPS.made)
    assert sum(map(len, tables)) == len(set().union(*tables))
