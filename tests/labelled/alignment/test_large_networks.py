"""What large networks are spared changes nothing: few numbers first, rows and columns without the places of entries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, chain
from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.symmetry.labelled import act, label_chain, sample
from nfn_cli.symmetry.labelled.alignment import align, comparison, paired_slices, search


def network() -> tuple[LabelledArchitecture, dict[str, Tensor], dict[str, Tensor]]:
    """An MLP, a near one, and that one moved by a random element."""
    layers = [Layer("0", "linear", 6, 40), Layer("1", "linear", 40, 30), Layer("2", "linear", 30, 3)]
    mlp = label_chain(chain(layers, activation="relu"))
    generator = torch.Generator().manual_seed(0)
    start = {own.name: torch.randn(own.shape, generator=generator).double() for own in mlp.tensors}
    near = {name: own + 0.05 * torch.randn(own.shape, generator=generator).double() for name, own in start.items()}
    return mlp, start, act(sample(mlp, generator), mlp, near)


@pytest.mark.parametrize("few", [2, 16])
def test_few_numbers_first_find_the_same(monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    mlp, ours, theirs = network()
    wanted = align(mlp, ours, theirs)
    budgets: list[int] = []
    whole = search.Evidence.costs

    def watched(self: search.Evidence, *given: object, **options: int) -> object:
        budgets.append(options["budget"])
        return whole(self, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(search.Evidence, "costs", watched)
    monkeypatch.setattr(search, "_MANY", 8)
    monkeypatch.setattr(search, "_FEW_NUMBERS", few)
    found = align(mlp, ours, theirs)
    assert (found.element.goes == wanted.element.goes).all()
    assert few in budgets


def test_units_that_few_numbers_do_not_tell_apart_are_not_clear() -> None:
    size = torch.ones(1, 2, 2)
    assert search._is_clear(search.Costs(torch.tensor([[[0.1, 1.0], [1.0, 0.1]]]), size))
    assert not search._is_clear(search.Costs(torch.tensor([[[0.9, 1.0], [1.0, 0.1]]]), size))
    assert not search._is_clear(search.Costs(torch.tensor([[[0.1, 1.0], [0.1, 1.0]]]), size))


def test_rows_and_columns_are_the_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, ours, theirs = network()
    found = align(mlp, ours, theirs)
    taken: list[bool] = []
    fast = paired_slices._rows_and_columns

    def checked(flat: Tensor, view: paired_slices.View, chosen: list) -> Tensor | None:
        own = fast(flat, view, chosen)
        taken.append(own is not None)
        if own is not None:
            places = view.use.offset + torch.from_numpy(chosen[0])[:, None] + torch.from_numpy(chosen[1])[None]
            assert torch.equal(own, flat[places])
        return own

    monkeypatch.setattr(paired_slices, "_rows_and_columns", checked)
    align(mlp, ours, theirs)
    assert any(taken)
    monkeypatch.setattr(paired_slices, "_rows_and_columns", lambda *_: None)
    slow = align(mlp, ours, theirs)
    assert (slow.element.goes == found.element.goes).all()
    assert slow.element.logs == pytest.approx(found.element.logs)


def test_permutations_alone_are_left_out_where_that_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    mlp, ours, theirs = network()
    wanted = align(mlp, ours, theirs)
    assert wanted.permuted is not None
    monkeypatch.setattr(comparison, "_MEASURED_ALONE", 10)
    found = align(mlp, ours, theirs)
    assert found.permuted is None and found.in_place is not None
    assert (found.element.goes == wanted.element.goes).all()
