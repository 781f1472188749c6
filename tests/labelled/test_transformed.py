"""A file's tensors behind an element: tied names, dtypes, ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from labelled_networks import attention, batch_norm, numbers, whole
from safetensors.torch import save_file

from nfn_cli.architectures.labels import LabelledTensor, Role
from nfn_cli.checkpoints import read_checkpoint, rewrite_checkpoint
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.labelled import Element, TensorAction, TransformedTensors, act, element_of, sample


def test_a_file_comes_out_moved_and_all_else_as_it_was(tmp_path: Path) -> None:
    network = attention()
    state = {name: tensor.float() for name, tensor in network.state.items()} | {"left": torch.arange(3)}
    save_file(state, tmp_path / "m.safetensors")
    checkpoint = read_checkpoint(tmp_path / "m.safetensors")
    element = sample(network.architecture, torch.Generator().manual_seed(0), scale_range=(0.1, 10.0))
    moved = TransformedTensors(checkpoint.path, checkpoint.tensors, network.architecture, element)
    assert sorted(moved) == sorted(network.state) and len(moved) == 3 and "left" not in moved
    rewrite_checkpoint(checkpoint, moved, tmp_path / "out.safetensors")
    found = dict(read_checkpoint(tmp_path / "out.safetensors").tensors)
    expected = act(element, network.architecture, state)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert 0 < moved.rounding < 1e-7
    before = network.run({name: tensor.double() for name, tensor in state.items()})[0]
    after = network.run({name: tensor.double() for name, tensor in found.items()})[0]
    assert torch.allclose(before, after, rtol=1e-3, atol=1e-5)


def test_all_names_of_a_tied_tensor_get_the_same_numbers() -> None:
    network = batch_norm()
    element = sample(network.architecture, torch.Generator().manual_seed(0))
    moved = TransformedTensors("m", network.state, network.architecture, element)
    assert torch.equal(moved["a.weight"], moved["same.weight"])
    assert not torch.equal(moved["a.weight"], network.state["a.weight"])
    alone = {name: tensor for name, tensor in network.state.items() if name != "a.weight"}
    assert torch.equal(TransformedTensors("m", alone, network.architecture, element)["same.weight"], moved["a.weight"])
    two = network.state | {"same.weight": network.state["a.weight"].float()}
    with pytest.raises(CheckpointError, match="have two dtypes"):
        TransformedTensors("m", two, network.architecture, element)["same.weight"]


def test_without_one_of_its_tensors_no_network_moves() -> None:
    network = attention()
    state = {name: tensor for name, tensor in network.state.items() if name != "factor"}
    element = sample(network.architecture, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="there is no tensor 'factor'"):
        TransformedTensors("m", state, network.architecture, element)
    with pytest.raises(ValueError, match="there is no tensor 'factor'"):
        act(element, network.architecture, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float8_e4m3fn, torch.float64])
def test_numbers_beyond_the_range_are_refused(dtype: torch.dtype) -> None:
    network = attention()
    largest = np.floor(np.log2(torch.finfo(dtype).max) - 0.01)
    state = {name: torch.full_like(tensor, 2.0 ** (largest - 2)).to(dtype) for name, tensor in network.state.items()}
    for factor, fits in ((2, True), (4, False)):
        element = element_of(network.architecture, free_logs=np.full(24, float(factor)))
        moved = TransformedTensors("m.safetensors", state, network.architecture, element)
        if fits:
            assert moved["qkv.weight"].double().max() == 2.0**largest
            continue
        kind = str(dtype).removeprefix("torch.")
        with pytest.raises(
            CheckpointError, match=f"m.safetensors: tensor 'qkv.weight' would leave the range of {kind}"
        ):
            moved["qkv.weight"]


def test_no_number_does_not_hide_one_beyond_the_range() -> None:
    network = attention()
    state = {name: tensor.half() for name, tensor in network.state.items()}
    state["qkv.weight"][0, 0] = np.nan
    element = element_of(network.architecture, free_logs=np.full(24, 3.0))
    assert TransformedTensors("m", state, network.architecture, element)["qkv.weight"].isnan().sum() == 1
    element = element_of(network.architecture, free_logs=np.full(24, 40.0))
    with pytest.raises(CheckpointError, match="would leave the range of float16"):
        TransformedTensors("m", state, network.architecture, element)["qkv.weight"]


def test_what_must_be_exact_is_not_rounded_below_the_range() -> None:
    network = attention()
    state = {name: tensor.half() for name, tensor in network.state.items()}
    element = element_of(network.architecture, free_logs=np.full(24, 15.0))
    loose = TransformedTensors("m", state, network.architecture, element)
    assert loose["out.weight"].any() and loose.rounding > 0
    with pytest.raises(CheckpointError, match=r"'out.weight' would be rounded, as numbers below the range of float16"):
        TransformedTensors("m", state, network.architecture, element, exact=True)["out.weight"]
    tiny = {name: tensor * 2.0**-1020 for name, tensor in network.state.items()}
    with pytest.raises(CheckpointError, match=r"below the range of float64"):
        TransformedTensors("m", tiny, network.architecture, element, exact=True)["out.weight"]
    fine = element_of(network.architecture, free_logs=np.full(24, 1.0))
    exact = TransformedTensors("m", state, network.architecture, fine, exact=True)
    assert torch.equal(exact["out.weight"], state["out.weight"] / 2)


def test_a_negative_variance_is_never_written() -> None:
    network = batch_norm()
    element = element_of(network.architecture, free_logs=np.full(6, -5.0))
    with pytest.raises(CheckpointError, match="'var' would hold a negative variance"):
        TransformedTensors("m", network.state, network.architecture, element)["var"]


def test_rows_come_a_few_at_a_time() -> None:
    rows, width = 3_000, 128
    use = whole((rows, width), (Role(numbers(0, rows, 1)), Role(numbers(rows, 1, width))), ((1, numbers(0, rows, 1)),))
    tensor = LabelledTensor(("x",), (rows, width), (use,))
    generator = np.random.default_rng(0)
    order = np.concatenate([generator.permutation(rows), rows + generator.permutation(width)]).astype(np.int32)
    logs = np.zeros(rows + width)
    logs[:rows] = generator.random(rows)
    element = Element(order, logs, np.zeros(rows + width, dtype=np.bool_))
    old = torch.randn(rows, width, generator=torch.Generator().manual_seed(0)).bfloat16()
    parts = list(TensorAction(tensor, element).rows(old))
    assert len(parts) > 2 and max(part.numel() for part in parts) <= 1 << 17
    back = np.argsort(order)
    expected = old[back[:rows]][:, back[rows:] - rows].double() * torch.from_numpy(2 ** logs[:rows])[back[:rows], None]
    assert torch.equal(torch.cat(parts), expected.bfloat16())
