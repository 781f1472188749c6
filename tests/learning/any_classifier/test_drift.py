"""Predictions of networks that are moved along their orbits."""

from __future__ import annotations

from pathlib import Path

import torch
from wild_tables import write_classifiers

from nfn_cli.learning.any_classifier.drift import drift_of
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.tasks.accuracy import AnyPredictions
from nfn_cli.zoo.listed_classifiers import listed_classifiers, read_classifiers


def said(statistics: NetworkStatistics) -> AnyPredictions:
    """Predictions that follow from all statistics."""
    every = [statistics.layers.flatten(1), statistics.whole, statistics.answers]
    accuracy = torch.cat(every, 1).double().mean(1).sigmoid()
    return AnyPredictions(accuracy, accuracy - 0.1, accuracy + 0.1, accuracy > 0.5, distance=accuracy)


def test_networks_that_are_moved_keep_their_predictions(tmp_path: Path) -> None:
    networks = read_classifiers(listed_classifiers([write_classifiers(tmp_path / "zoo", 4, known=True)]))
    drift = drift_of(said, networks.places, said(networks.statistics))
    assert (drift.networks, drift.unmoved, drift.flags_changed) == (4, 0, 0)
    assert drift.largest < 1e-5


def test_a_reader_that_is_not_invariant_is_found_out(tmp_path: Path) -> None:
    networks = read_classifiers(listed_classifiers([write_classifiers(tmp_path / "zoo", 4, known=True)]))
    other = said(networks.statistics.select([1, 2, 3, 0]))
    assert drift_of(said, networks.places, other).largest > 0.1


def test_networks_whose_group_is_not_known_are_counted(tmp_path: Path) -> None:
    networks = read_classifiers(listed_classifiers([write_classifiers(tmp_path / "zoo", 3)]))
    drift = drift_of(said, networks.places, said(networks.statistics))
    assert (drift.networks, drift.unmoved, drift.largest) == (0, 3, 0.0)
