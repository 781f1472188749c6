"""What is kept is made again as soon as anything that it was made of has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfn_cli.kept_tensor import KeptTensor


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_is_kept_until_a_source_or_the_key_changes(mode: Callable[[], torch.no_grad]) -> None:
    kept, sources = KeptTensor(), [torch.nn.Parameter(torch.ones(3)), torch.ones(3)]
    calls = []

    def found(key: str = "a") -> Tensor:
        def make() -> Tensor:
            calls.append(key)
            return sources[0] + sources[1]

        with mode():
            return kept.of(sources, make, key)

    assert found() is found()
    assert len(calls) == 1
    with torch.no_grad():
        sources[0] += 1
    assert torch.equal(found(), torch.full((3,), 3.0)) and len(calls) == 2
    found("b")
    assert len(calls) == 3
    sources[1] = sources[1].clone()
    found("b")
    sources[0].data = torch.zeros(3)
    assert torch.equal(found("b"), torch.ones(3)) and len(calls) == 5


def test_nothing_is_kept_with_gradients_or_of_tensors_of_inference_mode() -> None:
    kept, source = KeptTensor(), torch.ones(3, requires_grad=True)
    assert kept.of([source], lambda: source * 2) is not kept.of([source], lambda: source * 2)
    assert kept.of([source], lambda: source * 2).requires_grad
    with torch.inference_mode():
        other = torch.ones(3)
        assert kept.of([other], lambda: other * 2) is not kept.of([other], lambda: other * 2)
