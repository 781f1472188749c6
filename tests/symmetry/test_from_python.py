"""`inspect`, `canonicalize`, `verify` of paths, state dicts and modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nfn_cli import NfnError, canonicalize, inspect, verify
from nfn_cli.errors import UsageError

Net = nn.Sequential


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        return self.last(x + self.inner(x).relu())  # type: ignore[no-any-return]


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_normal_form_of_a_module_is_a_new_module(net: Net, wrapped: bool) -> None:
    module: nn.Module = nn.DataParallel(net) if wrapped else net
    x, before = torch.randn(20, 4), net[0].weight.clone()
    normal = canonicalize(module)
    assert type(normal) is type(module) and normal.training
    assert torch.equal(net[0].weight, before)
    own = normal.module if wrapped else normal
    assert isinstance(own, nn.Sequential) and not torch.equal(own[0].weight, before)
    assert torch.allclose(own(x), net(x), atol=1e-6)
    assert verify(module, normal)


def test_a_state_dict_has_a_state_dict_with_its_names_and_dtypes(net: Net, tmp_path: Path) -> None:
    state = {f"module.{name}": tensor.double() for name, tensor in net.state_dict().items()}
    normal = canonicalize(state, activation="relu")
    assert list(normal) == list(state) and normal["module.0.bias"].dtype == torch.float64
    torch.save(state, tmp_path / "a.pt")
    from_file = canonicalize(tmp_path / "a.pt", activation="relu")
    assert all(torch.equal(from_file[name], tensor) for name, tensor in normal.items())
    assert verify(tmp_path / "a.pt", normal, activation="relu")


def test_a_module_that_is_no_chain_is_traced() -> None:
    torch.manual_seed(0)
    module, x = Skip(), torch.randn(20, 4)
    assert inspect(module).orbit_dimension == 8
    normal = canonicalize(module)
    assert torch.allclose(normal(x), module(x), atol=1e-5)
    verdict = verify(normal.state_dict(), module)
    assert verdict and verdict.read_as == "the module of Skip" and verdict.element is not None


def test_others_are_not_the_same(net: Net) -> None:
    state = net.state_dict()
    verdict = verify(net, {**state, "4.weight": 2 * state["4.weight"]})
    assert not verdict and verdict.deviation is not None and verdict.tolerance is not None
    assert verdict.deviation > 1e3 * verdict.tolerance
    different = verify(net, Skip())
    assert not different and different.reason is not None and different.residuals == ()


def test_a_description_shows_what_was_assumed(net: Net) -> None:
    assert inspect(net).assumed is None
    read = inspect(net.state_dict(), activation="relu")
    assert read.symmetries == inspect(net).symmetries
    assert read.assumed is not None and read.assumed in str(read)


@pytest.mark.parametrize("value", [3, None, {}, {"a.pt": 1}, {3: torch.ones(2, 2)}, ["a.pt"]], ids=repr)
@pytest.mark.parametrize("function", [inspect, canonicalize, lambda value: verify(value, value)])
def test_what_is_no_network_is_refused(function, value: object) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as caught:
        function(value)
    assert caught.value.subject and caught.value.cause and caught.value.remedy


def test_errors_name_arguments_and_no_options(net: Net) -> None:
    with pytest.raises(NfnError, match="activation='relu'") as caught:
        verify(net.state_dict(), net.state_dict())
    assert "--" not in str(caught.value)


def test_a_wrong_argument_is_named(net: Net) -> None:
    for attempt, subject in (
        (lambda: canonicalize(Skip(), scale="balanced"), "scale"),
        (lambda: canonicalize(net, scale="norm"), "scale"),  # type: ignore[call-overload]
        (lambda: inspect(Skip(), prefix="a."), "prefix"),
    ):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert caught.value.subject == subject and "--" not in str(caught.value) and "=..." not in str(caught.value)
