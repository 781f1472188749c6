"""Monomial-NFN for any architecture: the same answer along an orbit, beside others, and from a saved copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from labelled_zoo import VIT, network, residual_config, write_zoo
from torch import Tensor, nn

from nfn_cli import score
from nfn_cli.architectures import Stated
from nfn_cli.architectures.in_memory import checkpoint_of, evaluated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.errors import HeadError
from nfn_cli.learning.any_classifier.drift import moved_fields
from nfn_cli.nn import AccuracyDetails, Head, HeadConfig, read_head
from nfn_cli.nn.accepted import ANY_LABELLED, Accepted
from nfn_cli.nn.labelled_nfn.monomial_any import UNKNOWN, MonomialAnySizes, sizes_for
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks
from nfn_cli.nn.labelled_nfn.reading import read_fields
from nfn_cli.zoo.listed_classifiers import Place, listed_classifiers

SIZES = MonomialAnySizes(members=2, channels=4, neurons=6, hidden=8)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[Place]:
    """Two residual networks and two transformers."""
    zoo = write_zoo(tmp_path_factory.mktemp("labelled") / "zoo", 4)
    return [row.place for row in listed_classifiers([zoo])]


@pytest.fixture(scope="module")
def networks(places: list[Place]) -> LabelledNetworks:
    tracer = NetworkTracer()
    return LabelledNetworks(tuple(read_fields(place.path, Stated(), tracer) for place in places))


def made(networks: LabelledNetworks) -> Head:
    """A head that nobody trained."""
    torch.manual_seed(0)
    sizes = sizes_for(SIZES, [own.shape for own in networks.networks])
    config = HeadConfig(ANY_LABELLED, sizes, AccuracyDetails())
    model = config.new_model().eval()
    for member in model.members:
        member.fit_normalisation(model.graph(networks))
    model.interval.terms.mul_(0.05)
    return Head("mine", config, model)


@pytest.fixture(scope="module")
def head(networks: LabelledNetworks) -> Head:
    return made(networks)


def test_the_answer_is_the_same_along_the_orbit(head: Head, networks: LabelledNetworks, places: list[Place]) -> None:
    before = head.predict(networks)
    assert before.accuracy.std() > 1e-3
    for seed in (1, 2):
        moved = tuple(moved_fields(place, Stated(), (0.1, 10.0), seed).networks[0] for place in places)
        assert any(
            not torch.equal(own.values, other.values) for own, other in zip(moved, networks.networks, strict=True)
        )
        after = head.predict(LabelledNetworks(moved))
        for name, value in vars(before).items():
            assert torch.allclose(value.double(), vars(after)[name].double(), atol=1e-5), name


def test_a_row_is_the_same_beside_others(head: Head, networks: LabelledNetworks) -> None:
    together = head.predict(networks)
    for place in range(len(networks)):
        alone = head.predict(networks.select([place]))
        assert alone.accuracy.item() == pytest.approx(together.accuracy[place].item(), abs=1e-6)


def test_a_saved_head_says_the_same(head: Head, networks: LabelledNetworks, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "# card\n")
    loaded = read_head(tmp_path / "mine")
    assert loaded.config == head.config and loaded.config.accepted.by_labels
    assert torch.equal(loaded.predict(networks).accuracy, head.predict(networks).accuracy)


def test_a_network_with_tensors_of_an_unknown_kind_is_flagged_and_its_interval_is_everything(
    networks: LabelledNetworks,
) -> None:
    residual = networks.select([0, 2])
    said = made(residual).predict(networks)
    assert said.in_distribution.tolist()[1::2] == [False, False]
    assert said.distance[1] >= UNKNOWN and said.distance[0] < UNKNOWN
    assert said.low[1] == 0 and said.high[1] == 1


def test_it_reads_fields_alone(head: Head) -> None:
    from nfn_cli.architectures import Layer, NetworkWeights, chain

    architecture = chain([Layer("0", "linear", 3, 2), Layer("1", "linear", 2, 2)], activation="relu")
    tensors = {spec.name: torch.ones(spec.shape) for spec in architecture.tensors}
    with pytest.raises(HeadError, match="it reads no weights"):
        head.predict(NetworkWeights(architecture, tensors))
    assert Accepted.from_record(ANY_LABELLED.to_record()) == ANY_LABELLED


class _Early(nn.Module):
    """Its last layer stands first in its state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.second = nn.Linear(6, 7), nn.Linear(3, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x).relu()
        found: Tensor = self.last(hidden + self.second(hidden).relu())
        return found


def test_classes_are_those_of_the_output_whatever_the_order_of_the_tensors() -> None:
    user = evaluated(_Early(), torch.zeros(2, 3), "net")
    read = read_fields(checkpoint_of(user.module.state_dict(keep_vars=True), "net"), Stated(), NetworkTracer(user))
    assert read.classes == 7


@pytest.mark.parametrize("size", [{"members": 0}, {"channels": -1}, {"dropout": 2.0}, {"vocabulary": "abc"}])
def test_sizes_that_no_head_has_are_refused(size: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is"):
        MonomialAnySizes(**size)  # type: ignore[arg-type]


def test_the_helper_makes_what_its_configurations_say() -> None:
    generator = torch.Generator().manual_seed(0)
    assert "fc.weight" in network(residual_config(), 0.5, generator)
    assert "classifier.weight" in network(VIT, 0.5, generator)


class _Block(nn.Module):
    """A user's own small transformer block with a classifier."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(3, width)
        self.look = nn.MultiheadAttention(width, 2, batch_first=True)
        self.fc = nn.Linear(width, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.enter(tokens)
        looked: Tensor = self.fc((hidden + self.look(hidden, hidden, hidden, need_weights=False)[0]).mean(1))
        return looked


def test_modules_of_ones_own_are_read_whatever_their_width(tmp_path: Path) -> None:
    inputs, read = torch.randn(2, 5, 3), []
    torch.manual_seed(0)
    modules = [_Block(width) for width in (4, 8)]
    for module in modules:
        tracer = NetworkTracer(evaluated(module, inputs, "block"))
        read.append(read_fields(checkpoint_of(module.state_dict(), "block"), Stated(), tracer))
    networks = LabelledNetworks(tuple(read))
    assert networks.classes.tolist() == [4, 4]
    head = made(networks)
    head.save(tmp_path / "mine", "# card\n")
    (row,) = score(modules[0], head=str(tmp_path / "mine"), inputs=inputs, device="cpu")
    assert row.accuracy == pytest.approx(head.predict(networks).accuracy[0].item(), abs=1e-5)
