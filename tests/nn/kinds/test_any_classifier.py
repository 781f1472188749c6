"""Any-Classifier: the same answer along a network's orbit, whatever it stands beside, and from a saved copy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.architectures.read_classifier import ReadClassifier
from nfn_cli.errors import HeadError
from nfn_cli.nn import AccuracyDetails, Head, HeadConfig, read_head
from nfn_cli.nn.accepted import ANY_CLASSIFIER
from nfn_cli.nn.any_classifier.any_classifier import AnyClassifierSizes
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics, joined_statistics
from nfn_cli.nn.any_classifier.statistics_of import statistics_of
from nfn_cli.nn.tasks.accuracy import AnyPredictions
from nfn_cli.symmetry import act, sample_element


@pytest.fixture(scope="module")
def head() -> Head:
    """A head that nobody trained."""
    torch.manual_seed(0)
    config = HeadConfig(ANY_CLASSIFIER, AnyClassifierSizes(members=2, width=4, hidden=8), AccuracyDetails())
    model = config.new_model().eval()
    model.interval.terms.mul_(0.05)
    model.unrun_interval.terms.mul_(0.1)
    for reach in (model.asked_reach, model.unasked_reach):
        reach.limit.fill_(9.0)
    return Head("any", config, model)


def network(*sizes: int, seed: int = 0) -> NetworkWeights:
    layers = [Layer(str(place), "linear", *pair) for place, pair in enumerate(pairwise(sizes))]
    architecture = chain(layers, activation="relu")
    generator = torch.Generator().manual_seed(seed)
    tensors = {spec.name: torch.randn(spec.shape, generator=generator).double() for spec in architecture.tensors}
    return NetworkWeights(architecture, tensors)


def statistics(point: NetworkWeights) -> NetworkStatistics:
    return statistics_of(ReadClassifier(point.tensors, None, None, point, "a chain"))


def as_if_run(own: NetworkStatistics, seed: int) -> NetworkStatistics:
    """The same, with answers as a network that is run has them."""
    generator = torch.Generator().manual_seed(seed)
    answers = torch.randn(own.answers.shape, generator=generator)
    return NetworkStatistics(own.layers, own.depth, own.whole, answers, torch.ones_like(own.runs), own.classes)


def said(head: Head, own: NetworkStatistics) -> AnyPredictions:
    found = head.predict(own)
    assert isinstance(found, AnyPredictions)
    return found


def test_the_answer_is_the_same_along_the_orbit(head: Head) -> None:
    point = network(12, 7, 5, 3)
    generator = torch.Generator().manual_seed(1)
    before = said(head, statistics(point))
    for _ in range(3):
        moved = act(sample_element(point.architecture, generator), point)
        after = said(head, statistics(moved))
        for name, value in vars(before).items():
            assert torch.allclose(value.double(), vars(after)[name].double(), atol=1e-6)
    other = said(head, statistics(network(12, 7, 5, 3, seed=1)))
    assert (other.accuracy - before.accuracy).abs() > 1e-4


def test_a_row_is_the_same_beside_others_run_or_not(head: Head) -> None:
    own = [statistics(network(9, 4 + seed, 3, seed=seed)) for seed in range(4)]
    own = [as_if_run(one, seed) if seed % 2 else one for seed, one in enumerate(own)]
    together = said(head, joined_statistics(own))
    for place, one in enumerate(own):
        alone = said(head, one)
        assert alone.accuracy.item() == pytest.approx(together.accuracy[place].item(), abs=1e-6)
        assert alone.distance.item() == pytest.approx(together.distance[place].item(), rel=1e-5)


def test_networks_that_are_run_and_others_have_each_their_own_curve_and_interval(head: Head) -> None:
    own = statistics(network(9, 4, 3))
    both = joined_statistics([own, as_if_run(own, 0)])
    before = said(head, both)
    names = ("unrun_calibration.curve", "unrun_interval.terms", "calibration.curve", "interval.terms")
    for place, changed in enumerate(names):
        tensor = head.model.get_buffer(changed)
        kept = tensor.clone()
        tensor.add_(0.03)
        after = said(head, both)
        tensor.copy_(kept)
        moved = [after.low[row] != before.low[row] for row in (0, 1)]
        assert moved == ([True, False] if place < 2 else [False, True])
        assert (after.accuracy == before.accuracy).all() == ("terms" in changed)


def test_a_fresh_head_says_everything_of_both_sorts() -> None:
    config = HeadConfig(ANY_CLASSIFIER, AnyClassifierSizes(members=1, width=4, hidden=8), AccuracyDetails())
    own = statistics(network(9, 4, 3))
    found = said(Head("fresh", config, config.new_model().eval()), joined_statistics([own, as_if_run(own, 0)]))
    assert found.low.tolist() == [0, 0] and found.high.tolist() == [1, 1]


def test_a_saved_head_says_the_same(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "# card\n")
    loaded = read_head(tmp_path / "mine")
    assert loaded.config == head.config and loaded.config.kind.title.startswith("Any-Classifier")
    own = statistics(network(9, 4, 3))
    for ours, theirs in zip(vars(said(loaded, own)).values(), vars(said(head, own)).values(), strict=True):
        assert torch.equal(ours, theirs)


def test_beyond_its_reach_a_network_is_flagged_and_its_distance_said(head: Head) -> None:
    own = joined_statistics([statistics(network(9, 4, 3, seed=seed)) for seed in range(3)])
    found = said(head, own)
    assert torch.equal(found.in_distribution, found.distance <= 1)
    rows = head.config.task.rows(head, ["a", "b", "c"], found)  # type: ignore[attr-defined]
    assert [row.distance for row in rows] == found.distance.tolist() and rows[0].head == "any"
    assert bool((found.low <= found.accuracy).all() and (found.accuracy <= found.high).all())


def test_it_reads_no_weights(head: Head) -> None:
    point = network(9, 4, 3)
    with pytest.raises(HeadError, match="it reads no weights"):
        head.predict(point)


@pytest.mark.parametrize(
    "part", ["interval.terms", "unrun_interval.terms", "calibration.radii", "unrun_calibration.radii"]
)
def test_a_calibration_that_no_fit_gives_is_refused(part: str, head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "# card\n")
    from safetensors.torch import load_file, save_file

    path = tmp_path / "mine" / "model.safetensors"
    tensors = load_file(path)
    save_file(tensors | {part: -tensors[part]}, path)
    with pytest.raises(HeadError, match="calibration is not one that a fit gives"):
        read_head(tmp_path / "mine")


@pytest.mark.parametrize("size", [{"members": 0}, {"width": -1}, {"hidden": 1 << 20}, {"dropout": 2.0}])
def test_sizes_that_no_head_has_are_refused(size: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is"):
        AnyClassifierSizes(**size)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [2, 30])
def test_a_width_that_attention_cannot_share_is_refused(width: int) -> None:
    with pytest.raises(ValueError, match=f"^width is {width}, not a multiple of 4$"):
        AnyClassifierSizes(width=width)
