"""Files of elements on labels: what is saved is read, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_networks import NETWORKS, attention, batch_norm, grouped
from safetensors.torch import save_file

from nfn_cli.architectures import Layer, chain
from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry import GroupElement, load_element, save_element
from nfn_cli.symmetry.labelled import (
    Element,
    bounded,
    chain_element,
    compose,
    fingerprint,
    free_logs,
    free_signs,
    identity,
    label_chain,
    load_labelled_element,
    sample,
    save_labelled_element,
    used_variables,
)


def drawn(own: LabelledArchitecture, seed: int = 0) -> Element:
    return sample(own, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_saved_is_read(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    own = network.architecture
    product = compose(own, drawn(own, 1), bounded(drawn(own, 2), own, network.state))
    save_labelled_element(tmp_path / "g", product, own)
    found = load_labelled_element(tmp_path / "g", own)
    assert np.array_equal(found.goes, product.goes) and np.array_equal(found.logs, product.logs)
    assert np.array_equal(found.signs, product.signs)
    with pytest.raises(CheckpointError, match="exists"):
        save_labelled_element(tmp_path / "g", product, own)


def swap(array: np.ndarray, one: int, other: int) -> np.ndarray:
    array = array.copy()
    array[[one, other]] = array[[other, one]]
    return array


def put(array: np.ndarray, place: int, value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


ATTENTION: dict[str, tuple[Callable[[Element], Element], str]] = {
    "a head's neurons in another head": (lambda g: replace(g, goes=swap(g.goes, 0, 4)), "leave the unit"),
    "a value among the queries": (lambda g: replace(g, goes=swap(g.goes, 0, 12)), "not permuted among themselves"),
    "a head without its neurons": (lambda g: replace(g, goes=swap(g.goes, 24, 25)), "leave the unit"),
    "two labels in one place": (lambda g: replace(g, goes=put(g.goes, 0, int(g.goes[1]))), "not permuted"),
    "a label that is none": (lambda g: replace(g, goes=put(g.goes, 0, 99)), "no permutation of 27 labels"),
    "a label below zero": (lambda g: replace(g, goes=put(g.goes, 0, -1)), "no permutation of 27 labels"),
    "a scale where none may be": (lambda g: replace(g, logs=put(g.logs, 24, 1.0)), "the scales do not fit"),
    "a sign where none may be": (lambda g: replace(g, signs=put(g.signs, 24, True)), "the signs do not fit"),
    "a scale that float64 does not hold": (lambda g: replace(g, logs=put(g.logs, 0, 2_000.0)), r"beyond 2\^400"),
    "a scale that is infinite": (lambda g: replace(g, logs=put(g.logs, 0, np.inf)), "no finite number"),
    "a scale that is no number": (lambda g: replace(g, logs=put(g.logs, 0, np.nan)), "no finite number"),
}


@pytest.mark.parametrize("what", ATTENTION)
def test_what_would_change_the_function_is_refused(what: str, tmp_path: Path) -> None:
    own = attention().architecture
    change, message = ATTENTION[what]
    save_labelled_element(tmp_path / "g", change(drawn(own)), own)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_labelled_element(tmp_path / "g", own)
    assert str(caught.value).startswith(f"{tmp_path / 'g'}: ") and "\n" not in str(caught.value)


def test_determined_labels_must_go_with_those_that_determine_them(tmp_path: Path) -> None:
    own = grouped().architecture
    element = identity(own)
    save_labelled_element(tmp_path / "g", replace(element, goes=swap(element.goes, 20, 21)), own)
    with pytest.raises(CheckpointError, match="labels that belong together are taken apart"):
        load_labelled_element(tmp_path / "g", own)


def test_scales_that_belong_to_one_sign_are_looked_at_together(tmp_path: Path) -> None:
    own = batch_norm().architecture
    element = identity(own)
    save_labelled_element(tmp_path / "g", replace(element, signs=put(element.signs, 7, True)), own)
    with pytest.raises(CheckpointError, match="the signs do not fit one another"):
        load_labelled_element(tmp_path / "g", own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"goes": torch.zeros(3, dtype=torch.int32)}, "its goes are not 27 numbers of int32"),
        ({"goes": torch.arange(27)}, "its goes are not 27 numbers of int32"),
        ({"logs": torch.zeros(25)}, "its logs are not 25 numbers of float64"),
        ({"signs": torch.zeros(25)}, "its signs are not 25 numbers of bool"),
        ({"signs": None}, "its signs are not 25 numbers of bool"),
    ],
)
def test_other_tensors_are_refused(change: dict[str, torch.Tensor | None], message: str, tmp_path: Path) -> None:
    own = attention().architecture
    tensors = {
        "goes": torch.arange(27, dtype=torch.int32),
        "logs": torch.zeros(25, dtype=torch.float64),
        "signs": torch.zeros(25, dtype=torch.bool),
    } | change
    metadata = {"kind": "nfn.element", "nfn.labels": "1", "nfn.fingerprint": fingerprint(own)}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(kept, tmp_path / "g", metadata=metadata)
    with pytest.raises(CheckpointError, match=message):
        load_labelled_element(tmp_path / "g", own)


def test_another_network_version_or_file_is_refused(tmp_path: Path) -> None:
    own, other = attention().architecture, batch_norm().architecture
    save_labelled_element(tmp_path / "g", identity(own), own)
    with pytest.raises(CheckpointError, match="an element of another architecture"):
        load_labelled_element(tmp_path / "g", other)
    save_file({"goes": torch.zeros(1)}, tmp_path / "h", metadata={"kind": "nfn.element", "nfn.labels": "2"})
    with pytest.raises(CheckpointError, match="an element of another version"):
        load_labelled_element(tmp_path / "h", own)
    save_file({"goes": torch.zeros(1)}, tmp_path / "i")
    with pytest.raises(CheckpointError, match="this is no group element"):
        load_labelled_element(tmp_path / "i", own)
    (tmp_path / "j").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="not a readable element"):
        load_labelled_element(tmp_path / "j", own)


def test_elements_of_chains_and_of_labels_are_told_apart(tmp_path: Path) -> None:
    mlp = chain([Layer("a", "linear", 2, 3), Layer("b", "linear", 3, 2)], activation="relu")
    old = GroupElement.identity([3])
    save_element(tmp_path / "old", old, mlp)
    save_labelled_element(tmp_path / "new", chain_element(mlp, old), label_chain(mlp))
    with pytest.raises(CheckpointError, match="an element of an older version"):
        load_labelled_element(tmp_path / "old", label_chain(mlp))
    with pytest.raises(CheckpointError, match="an element on labels"):
        load_element(tmp_path / "new", mlp)


def test_names_are_no_part_of_the_fingerprint_and_all_else_is() -> None:
    def own(names: str = "ab", **more: object) -> str:
        layers = [Layer(names[0], "linear", 2, 3), Layer(names[1], "linear", 3, 2)]
        return fingerprint(label_chain(chain(layers, activation=str(more.get("activation", "relu")))))

    assert own("ab") == own("xy") != own(activation="tanh")
    first = attention().architecture
    tensor = first.tensors[0]
    (use,) = tensor.uses
    (role,) = use.roles
    assert role.slots is not None
    changed = [
        replace(first, label_count=first.label_count + 1),
        replace(first, blocks=first.blocks[:-1]),
        replace(first, determined=np.array([[0, 1, 2]], dtype=np.int32)),
        replace(first, signs=replace(first.signs, coefficients=first.signs.coefficients * 3)),
        replace(first, tensors=first.tensors[:-1]),
        *(
            replace(first, tensors=(replace(tensor, uses=(new,)), *first.tensors[1:]))
            for new in (
                replace(use, offset=1),
                replace(use, scales=use.scales[:-1]),
                replace(use, roles=(replace(role, slots=None),)),
                replace(use, roles=(replace(role, slots=role.slots + 1),)),
            )
        ),
    ]
    found = {fingerprint(each) for each in [first, *changed]}
    assert len(found) == len(changed) + 1
    assert fingerprint(first) == fingerprint(attention().architecture)


@pytest.mark.parametrize("seed", range(20))
def test_free_values_come_back_from_coupled_sums(seed: int) -> None:
    """Dense equations, in which no variable is one free value alone."""
    from nfn_cli.architectures.labels import Solutions

    generator = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(12), np.arange(4), indexing="ij")
    kept = generator.random(rows.shape) < 0.7
    solutions = Solutions(
        13,
        5,
        np.append(rows[kept], 12).astype(np.int32),
        np.append(columns[kept], 4).astype(np.int32),
        np.append(generator.integers(1, 4, kept.sum()), 1).astype(np.float64),
    )
    known = np.ones(13, dtype=np.bool_)
    values = solutions.values(generator.normal(size=5))
    assert np.allclose(solutions.values(free_logs(solutions, values, known)), values)
    values[12] = 7.0
    assert free_logs(solutions, values, known)[4] == 7
    with pytest.raises(ValueError, match="scales do not fit"):
        free_logs(solutions, generator.normal(size=13), known)
    over_two = replace(solutions, coefficients=np.ones(len(solutions.rows)))
    signs = over_two.values(generator.integers(0, 2, 5).astype(float)) % 2 == 1
    found = over_two.values(free_signs(over_two, signs, known).astype(float)) % 2 == 1
    assert np.array_equal(found, signs)
    wrong = [signs ^ (np.arange(13) == place) for place in range(12)]
    refused = 0
    for each_wrong in wrong:
        try:
            free_signs(over_two, each_wrong, known)
        except ValueError:
            refused += 1
    assert refused > 0


def test_used_variables_are_those_of_tensors() -> None:
    own = attention().architecture
    assert used_variables(replace(own, tensors=own.tensors[1:])).tolist() == [False] * 12 + [True] * 12 + [False]
