"""Does a state dict fit a module?"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures.tracing.fitting import difference, load_state


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(5, 3), nn.BatchNorm1d(3), nn.Linear(3, 5)
        self.head.weight = self.embed.weight
        self.register_buffer("angles", torch.ones(2), persistent=False)


def state() -> dict[str, Tensor]:
    made = {name: value.clone() for name, value in Net().state_dict().items()}
    made["embed.weight"] = made["head.weight"]
    return made


def without(*names: str) -> dict[str, Tensor]:
    return {name: value for name, value in state().items() if name not in names}


@pytest.mark.parametrize(
    "tensors",
    [
        state(),
        without("head.weight"),
        without("embed.weight", "norm.num_batches_tracked"),
        state() | {"other.num_batches_tracked": torch.tensor(3)},
    ],
)
def test_what_fits_is_loaded(tensors: dict[str, Tensor]) -> None:
    module = Net()
    assert difference(module, tensors) is None
    assert difference(module, {name: tuple(value.shape) for name, value in tensors.items()}) is None
    load_state(module, tensors)
    weight = tensors.get("embed.weight", tensors.get("head.weight"))
    assert weight is not None
    assert torch.equal(module.embed.weight, weight)
    assert module.head.weight is module.embed.weight
    assert torch.equal(module.head.bias, tensors["head.bias"])


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        (without("norm.bias", "head.bias"), "the file lacks 'norm.bias', which the module has"),
        (without("embed.weight", "head.weight"), "lacks 'embed.weight', which the module has (tied to 'head.weight')"),
        (state() | {"angles": torch.ones(2)}, "the file has 'angles', which the module lacks"),
        (state() | {"head.bias": torch.ones(4)}, "size mismatch for 'head.bias': 4 in the file, 5 in the module"),
        (state() | {"norm.bias": torch.tensor(1.0)}, "'norm.bias': one number in the file, 3 in the module"),
    ],
)
def test_the_first_difference_is_told(tensors: dict[str, Tensor], told: str) -> None:
    module = Net()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert told in (difference(module, tensors) or "")
    with pytest.raises(ValueError, match="the file"):
        load_state(module, tensors)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_tied_tensors_that_differ() -> None:
    with pytest.raises(ValueError, match=r"'head\.weight' is tied to 'embed\.weight' in the module"):
        load_state(Net(), state() | {"head.weight": torch.zeros(5, 3)})
    nan = torch.full((5, 3), float("nan"))
    load_state(Net(), state() | {"head.weight": nan, "embed.weight": nan.clone()})


def test_dtypes_and_the_meta_device() -> None:
    halves = {name: value.to(torch.bfloat16) if value.is_floating_point() else value for name, value in state().items()}
    module = Net()
    load_state(module, halves)
    assert module.head.bias.dtype is torch.float32
    with torch.device("meta"):
        there = Net()
    load_state(there, halves)
    assert (there.head.bias.dtype, there.head.bias.is_meta) == (torch.bfloat16, False)
