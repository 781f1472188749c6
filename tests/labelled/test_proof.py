"""The proof finds a group that is too large, and passes one that is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from labelled_networks import NETWORKS, attention, batch_norm, each, grouped, numbers, whole

from nfn_cli.architectures.labels import Block, LabelledTensor, Role, Solutions
from nfn_cli.symmetry.labelled import prove


def whole_tensor(name: str, labels: np.ndarray) -> LabelledTensor:
    return LabelledTensor((name,), labels.shape, (whole(labels.shape, (Role(labels),)),))


@pytest.mark.parametrize("name", NETWORKS)
def test_groups_are_proven_part_by_part(name: str) -> None:
    network = NETWORKS[name]()
    proof = prove(network.architecture, network.run, network.state)
    assert proof.proven and proof.fault is None
    blocks = [block.name for block in network.architecture.blocks]
    assert [row.where for row in proof.rows if row.what == "permutation"] == blocks
    signs = ["signs"] if network.architecture.signs.free else []
    assert [row.what for row in proof.rows[len(blocks) :]] == ["scales", *signs, "everything"]
    assert all(row.deviation < 1e-12 for row in proof.rows)


def test_a_block_that_is_too_large_is_named() -> None:
    network = attention()
    first, _, value = network.architecture.blocks
    # All values are taken for one block, across heads.
    wrong = (first, network.architecture.blocks[1], Block("all values", None, 12, value.labels))
    proof = prove(replace(network.architecture, blocks=wrong), network.run, network.state)
    assert not proof.proven and proof.fault is not None
    assert (proof.fault.what, proof.fault.where) == ("permutation", "heads")  # its values no longer come along
    assert [row.passed for row in proof.rows[:3]] == [False, True, False]


@pytest.mark.parametrize("part", ["logs", "signs"])
def test_scales_and_signs_that_are_too_many_are_told(part: str) -> None:
    network = attention() if part == "logs" else grouped()  # behind ReLU, no sign may change
    count = network.architecture.scale_count
    own = replace(network.architecture, **{part: each(numbers(0, count), count)})
    proof = prove(own, network.run, network.state)
    assert proof.fault is not None and proof.fault.what == {"logs": "scales", "signs": "signs"}[part]
    assert proof.fault.deviation > 1e-3
    # The variable at keys alone acts on them twice; behind ReLU, any sign is one too many.
    assert proof.fault.where == {"logs": "one at qkv.weight", "signs": "one at a, b"}[part]


def test_even_one_block_of_two_neurons_is_moved() -> None:
    network = attention(heads=2, size=2)
    own = replace(network.architecture, blocks=network.architecture.blocks[:1])
    for seed in range(10):  # heads leave their neurons behind
        proof = prove(own, network.run, network.state, seed=seed)
        assert proof.fault is not None and proof.fault.where == "heads"


def test_blocks_beyond_the_budget_move_together() -> None:
    network = attention()
    rows = prove(network.architecture, network.run, network.state, most=1).rows
    assert [(row.what, row.where) for row in rows[:2]] == [
        ("permutation", "heads"),
        ("permutations", "the other 2 blocks, together"),
    ]
    rows = prove(network.architecture, network.run, network.state, most=0).rows
    assert (rows[0].what, rows[0].where) == ("permutations", "all 3 blocks, together")


def test_a_block_at_fault_is_found_among_those_that_moved_together() -> None:
    network = attention()
    heads, match, value = network.architecture.blocks
    own = replace(network.architecture, blocks=(heads, match, value, Block("wrong", None, 5, numbers(27, 5, 1))))
    own = replace(own, label_count=32, tensors=(*own.tensors, whole_tensor("more", numbers(27, 5))))
    state = network.state | {"more": torch.arange(1.0, 6.0, dtype=torch.float64)}

    def run(own_state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        return [network.run(own_state)[0] * own_state["more"]]

    proof = prove(own, run, state, most=0)
    assert proof.fault is not None and (proof.fault.what, proof.fault.where) == ("permutation", "wrong")
    assert not proof.rows[0].passed and proof.rows[1] is proof.fault


def test_a_tolerance_can_be_told_and_no_number_never_passes() -> None:
    network = attention()
    assert not prove(network.architecture, network.run, network.state, tolerance=0.0).proven
    calls = []

    def broken(state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        calls.append(1)
        out = network.run(state)[0]
        return [out if len(calls) == 1 else out * np.nan]

    assert all(row.deviation == np.inf for row in prove(network.architecture, broken, network.state).rows)


def test_outputs_that_prove_nothing_are_refused() -> None:
    network = attention()
    for value in (0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="no numbers, or all zero"):
            prove(network.architecture, lambda state, value=value: [torch.full((2,), value)], network.state)


def test_a_network_without_a_group_has_an_empty_proof() -> None:
    network = attention()
    none = Solutions(25, 0, *(np.empty(0, dtype=np.int32),) * 2, np.empty(0))
    own = replace(network.architecture, blocks=(), logs=none, signs=none)
    proof = prove(own, network.run, network.state)
    assert proof.rows == () and proof.proven


def test_small_variances_are_kept_positive() -> None:
    network = batch_norm(epsilon=1.0, smallest=1e-6)
    assert prove(network.architecture, network.run, network.state).proven
