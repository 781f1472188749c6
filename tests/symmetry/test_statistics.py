"""Running statistics of the point between two networks, estimated on data."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nfn_cli import NfnError, align
from nfn_cli.architectures.batch_statistics import reestimate, tracked_norms


def mlp(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)
    )


class Block(nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem, self.bn = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv, self.bn2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.stem(x)))
        x = torch.relu(x + self.bn2(self.conv(x)))
        return self.fc(self.drop(x.mean((2, 3))))


def test_statistics_are_those_of_the_data_layer_by_layer() -> None:
    module, x = mlp(0), torch.randn(300, 5) * 3 + 1
    module.train()
    assert reestimate(module, x) == ["1", "4"]
    assert module.training and module[1].momentum == 0.1 and module[1].num_batches_tracked == 0
    module.eval()
    hidden = module[0](x)
    assert torch.allclose(module[1].running_mean, hidden.mean(0), atol=1e-4)
    assert torch.allclose(module[1].running_var, hidden.var(0), rtol=1e-3)
    hidden = module[3](torch.relu(module[1](hidden)))
    assert torch.allclose(module[4].running_mean, hidden.mean(0), atol=1e-2)
    assert torch.allclose(module[4].running_var, hidden.var(0), rtol=2e-2)


def test_a_norm_that_is_not_run_keeps_what_it_has() -> None:
    module = mlp(0)
    module.unused = nn.BatchNorm1d(2)  # type: ignore[assignment]
    module.unused.running_mean.fill_(7)
    reestimate(module[0], torch.randn(4, 5))
    head = nn.Sequential(nn.BatchNorm1d(5))
    head.other = nn.BatchNorm1d(2)  # type: ignore[assignment]
    head.other.running_mean.fill_(7)
    assert reestimate(head[0], torch.randn(4, 5)) == [""]
    run = lambda x: head[0](x)  # noqa: E731
    assert reestimate(head, torch.randn(4, 5), run) == ["0"]
    assert head.other.running_mean.tolist() == [7, 7]


@pytest.mark.parametrize("make", [mlp, Block])
def test_of_modules(make: type[nn.Module]) -> None:
    one, two = make(0), make(1)
    x = torch.randn(64, 5) if make is mlp else torch.randn(64, 1, 6, 6)
    plain, found = (align(one, two, interpolate=0.5, data=data) for data in (None, x))
    expected = align(one, two, interpolate=0.5)
    reestimate(expected, x)
    for name, own in found.state_dict().items():
        assert torch.equal(own, expected.state_dict()[name])
        assert torch.equal(own, plain.state_dict()[name]) == ("running" not in name)


def test_of_a_state_dict_of_linear_layers() -> None:
    one, two = mlp(0), mlp(1)
    with torch.no_grad():
        two[1].weight.mul_(-2)
    x = torch.randn(50, 5)
    found = align(one.state_dict(), two.state_dict(), interpolate=0.25, data=x, activation="relu")
    module = mlp(2)
    module.load_state_dict(found)
    reestimate(module, x)
    for name, own in found.items():
        assert torch.allclose(own, module.state_dict()[name], atol=1e-6), name


def test_refusals() -> None:
    one, x = mlp(0), torch.randn(9, 5)
    state = one.state_dict()
    with pytest.raises(NfnError, match="data: B aligned has its own statistics"):
        align(one, one, data=x)
    plain = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(NfnError, match="has no BatchNorm whose statistics could be estimated; leave it out"):
        align(plain, plain, interpolate=0.5, data=x)
    with pytest.raises(NfnError, match="has no BatchNorm whose statistics could be estimated; leave it out"):
        align(plain.state_dict(), plain.state_dict(), interpolate=0.5, data=x, activation="relu")
    with pytest.raises(NfnError, match="data: one input tells no variance"):
        align(state, state, interpolate=0.5, data=x[:1], activation="relu")
    for given in (one, state):
        with pytest.raises(NfnError, match="not run on"):
            align(
                given,
                given,
                interpolate=0.5,
                data=torch.randn(9, 4),
                **({} if given is one else {"activation": "relu"}),
            )
    block = Block(0)
    assert set(tracked_norms(block)) == {"bn", "bn2"}
    conv = nn.Sequential(block.stem, block.bn, nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 3)).state_dict()
    with pytest.raises(NfnError, match="strides, poolings and joints of its layers are in no file"):
        align(conv, conv, interpolate=0.5, data=torch.randn(9, 1, 6, 6), activation="relu", pool="none")
