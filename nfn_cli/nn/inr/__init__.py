"""Heads that read implicit neural representations."""

from nfn_cli.nn.inr.classifier import (
    CLASSIFY,
    Classification,
    Classifier,
    ClassifierConfig,
    ClassifierModel,
    read_classifier,
)
from nfn_cli.nn.inr.coordinate_probe import CoordinateProbe, CoordinateProbeSizes
from nfn_cli.nn.inr.kinds import INR_KINDS, InrKind, InrSizes, inr_kind_of, inr_sizes

__all__ = [
    "CLASSIFY",
    "INR_KINDS",
    "Classification",
    "Classifier",
    "ClassifierConfig",
    "ClassifierModel",
    "CoordinateProbe",
    "CoordinateProbeSizes",
    "InrKind",
    "InrSizes",
    "inr_kind_of",
    "inr_sizes",
    "read_classifier",
]
