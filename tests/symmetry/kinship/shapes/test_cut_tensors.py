"""Parts of tensors, of a file and of memory alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.checkpoints import open_checkpoint
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut, CutTensors

WHOLE = {"a": torch.arange(24.0).reshape(4, 3, 2), "b": torch.arange(5), "c": torch.tensor(3.0)}
SOME = {0: torch.tensor([3, 0]), 1: torch.tensor([2, 1])}


@pytest.mark.parametrize("in_file", [True, False])
def test_parts(in_file: bool, tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "x.safetensors")
    whole = open_checkpoint(tmp_path / "x.safetensors").tensors if in_file else WHOLE
    factors = torch.tensor([2.0, -1.0]).double()
    cuts = {
        "new": Cut("a", SOME),
        "scaled": Cut("a", SOME, factors),
        "second": Cut("a", {1: SOME[1]}),
        "b": Cut("b"),
        "c": Cut("c"),
    }
    found = CutTensors(whole, cuts)
    expected = WHOLE["a"][SOME[0]][:, SOME[1]]
    assert list(found) == list(cuts) and len(found) == 5 and "a" not in found
    assert torch.equal(found["new"], expected)
    assert torch.equal(found["scaled"], expected * torch.tensor([2.0, -1.0])[:, None])
    assert torch.equal(found["second"], WHOLE["a"][:, SOME[1]])
    assert torch.equal(found["b"], WHOLE["b"]) and torch.equal(found["c"], WHOLE["c"])
    assert found.shape("new") == (2, 2, 2) and found.shape("c") == ()
    assert found.dtype("b") is torch.int64
    assert found.frame("second").shape == (4, 2, 2) and found.frame("second").is_meta
    assert torch.equal(torch.cat(list(found.parts("second", 3))), WHOLE["a"][:, SOME[1]])
    assert torch.equal(found.rows("new", torch.tensor([1, 1])), expected[[1, 1]])
    found.require_finite("new")
    for name, rows in (("new", [2]), ("new", [-1]), ("c", [0])):
        with pytest.raises(IndexError):
            found.rows(name, torch.tensor(rows))
