"""A head that learns from another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nfn_cli.architectures import Layer, chain
from nfn_cli.errors import HeadError
from nfn_cli.learning import AccuracySettings, EvaluationReport, FitSettings, train_head
from nfn_cli.learning.teacher import taught, taught_settings
from nfn_cli.nn import MonomialProbeSizes, read_head
from nfn_cli.zoo import read_networks

Fitted = tuple[Path, EvaluationReport]


@pytest.fixture
def settings(fitted: Fitted) -> AccuracySettings:
    """One epoch of one member that learns from the fitted head."""
    return AccuracySettings(members=1, fit=FitSettings(epochs=1, batch_size=16), teacher=str(fitted[0]))


def test_a_head_starts_as_its_teacher_and_stays_near(
    population: Path, fitted: Fitted, settings: AccuracySettings, tmp_path: Path
) -> None:
    report = train_head(population, None, tmp_path / "head", settings)
    teacher, head = read_head(fitted[0]), read_head(tmp_path / "head")
    assert head.config.sizes == replace(teacher.config.sizes, dropout=0.0) and head.config.members == 1
    assert head.config.fitted["teacher"] == "my-head" and report.plain.tau.value > 0.75
    old, new = (own.model.members[0].state_dict() for own in (teacher, head))
    for name, tensor in old.items():
        assert torch.equal(new[name], tensor) is not name.startswith("readout"), name
        assert (new[name] - tensor).norm() <= 0.2 * tensor.norm() + 0.1
    networks = read_networks(population)
    far = networks.point.mapped(lambda tensor: tensor**3)
    for point in (networks.point, far):
        flags = [own.predict(point).in_distribution for own in (teacher, head)]
        assert torch.equal(*flags)
    assert not flags[0].all()
    assert "--teacher my-head" in (tmp_path / "head" / "README.md").read_text()


def test_targets_are_the_mean_of_truth_and_teacher(population: Path, fitted: Fitted) -> None:
    networks, teacher = read_networks(population), read_head(fitted[0])
    model = read_head(fitted[0]).model
    for own in model.members.parameters():
        own.data.zero_()
    targets = taught(model, networks, str(fitted[0]), "cpu")
    said = teacher.predict(networks.point).accuracy
    assert torch.allclose(targets, (said + networks.targets) / 2, atol=1e-6)
    for name, tensor in teacher.model.members.state_dict().items():
        assert torch.equal(model.members.state_dict()[name], tensor)


def test_a_teacher_that_does_not_suit_is_refused(population: Path, settings: AccuracySettings, fitted: Fitted) -> None:
    architecture = read_networks(population).point.architecture
    refused = {
        "does not read these networks": (settings, architecture.with_activation("tanh")),
        "is a monomial-nfn head, not monomial-probe": (replace(settings, kind="monomial-probe"), architecture),
        "has 2 members, and 3 are to start": (replace(settings, members=3), architecture),
        "was fitted to hidden widths 6, and these are others": (
            settings,
            chain([Layer("0", "linear", 3, 5), Layer("2", "linear", 5, 2)], activation="relu"),
        ),
    }
    for cause, (own, networks) in refused.items():
        with pytest.raises(HeadError, match=cause):
            taught_settings(own, networks)
    assert taught_settings(replace(settings, sizes=MonomialProbeSizes()), architecture).kind == "monomial-nfn"
