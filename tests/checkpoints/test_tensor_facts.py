"""What is told of a tensor, of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import TensorFacts, measure_tensors
from nfn_cli.checkpoints import tensor_facts as module

NAN, INF = float("nan"), float("inf")


def measured(tensor: Tensor) -> TensorFacts:
    (facts,) = measure_tensors({"t": tensor})
    return facts


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.complex64),
    ],
)
def test_zeros_and_norm_of_every_kind_of_number(dtype: torch.dtype) -> None:
    facts = measured(torch.tensor([[3, 0], [0, 4], [0, 0]]).to(dtype))
    name = str(dtype).removeprefix("torch.")
    assert facts == TensorFacts("t", (3, 2), name, 6, zeros=4, norm=5.0, nan=0, inf=0, note=None)


def test_truths_are_numbers_too() -> None:
    assert measured(torch.tensor([True, False, True, True, True])).norm == 2.0


def test_a_norm_is_summed_in_float64() -> None:
    ones = torch.full((3, 50_000), 300.0, dtype=torch.float16)  # its square is no half
    assert measured(ones).norm == pytest.approx(300 * math.sqrt(150_000), rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_beyond_float64_do_not_spoil_a_norm(scale: float) -> None:
    assert measured(torch.tensor([3.0, 4.0], dtype=torch.float64) * scale).norm == pytest.approx(5 * scale, rel=1e-12)


def test_what_is_not_finite_is_counted_and_has_no_norm() -> None:
    facts = measured(torch.tensor([NAN, INF, -INF, 0.0, 1.0, INF]))
    assert (facts.nan, facts.inf, facts.zeros, facts.norm) == (1, 3, 1, None)


def test_empty_tensors_and_scalars() -> None:
    facts = measured(torch.empty(0, 3))
    assert (facts.shape, facts.entries, facts.zeros, facts.norm) == ((0, 3), 0, 0, 0.0)
    facts = measured(torch.tensor(-2.5))
    assert (facts.shape, facts.entries, facts.zeros, facts.norm) == ((), 1, 0, 2.5)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda whole: whole,
    "flat": lambda whole: whole.reshape(-1),
    "transposed": lambda whole: whole.transpose(0, 2),
    "with gaps": lambda whole: whole[:, 1:-1, ::2],
    "with gaps, transposed": lambda whole: whole[:, 1:-1, ::2].permute(2, 0, 1),
    "one row": lambda whole: whole[:1, :, 1:],
    "repeated": lambda whole: whole[:, :, :1].expand(-1, -1, 9),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("chunk", [1, 7, 40, 1 << 18])
def test_chunks_change_nothing(view: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    tensor = VIEWS[view](torch.randn(6, 7, 8, generator=torch.Generator().manual_seed(0)).relu())
    facts = measured(tensor)
    assert facts.zeros == int((tensor == 0).sum())
    assert facts.norm == pytest.approx(float(tensor.double().norm()), rel=1e-12)


@pytest.mark.parametrize("view", VIEWS)
def test_no_more_than_a_chunk_is_converted_at_once(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 40)
    tensor = VIEWS[view](torch.ones(6, 7, 8))
    chunks = list(module._chunks(tensor))
    assert max(chunk.numel() for chunk in chunks) <= 40
    assert sum(chunk.numel() for chunk in chunks) == tensor.numel()
    # Parts of the tensor's own memory, not copies of it.
    assert all(chunk.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr() for chunk in chunks)


def quantized() -> Tensor:
    return torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8)


def nested() -> Tensor:
    return torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(3, 2)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("make", "dtype", "note"),
    [
        (lambda: torch.eye(3).to_sparse(), "float32", "sparse"),
        (lambda: torch.eye(3).to_sparse_csr(), "float32", "sparse"),
        (quantized, "qint8", "quantized"),
        (lambda: torch.empty(3, 3, device="meta"), "float32", "without data (on the meta device)"),
        (lambda: torch.empty(3, 3, dtype=torch.bits8), "bits8", "of numbers that PyTorch does not compute with"),
    ],
)
def test_what_cannot_be_worked_out_is_left_out(make: Callable[[], Tensor], dtype: str, note: str) -> None:
    assert measured(make()) == TensorFacts("t", (3, 3), dtype, 9, note=note)


@pytest.mark.filterwarnings("ignore")
def test_a_nested_tensor_has_no_shape() -> None:
    assert measured(nested()) == TensorFacts("t", None, "float32", None, note="nested")


def test_nothing_is_computed_from_entries_that_the_file_does_not_have() -> None:
    repeated = torch.zeros(1).expand(1 << 20, 1 << 20)  # would take days
    (facts,) = measure_tensors({"t": repeated}, {"t"})
    assert facts == TensorFacts("t", (1 << 20, 1 << 20), "float32", 1 << 40, note="claims more than the file holds")
