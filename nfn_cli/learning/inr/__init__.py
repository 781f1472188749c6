"""Fit heads to implicit neural representations, and measure them."""

from nfn_cli.learning.inr.evaluation import ClassReport, evaluate_classifier, measure_classifier
from nfn_cli.learning.inr.training import ClassifierSettings, train_classifier

__all__ = [
    "ClassReport",
    "ClassifierSettings",
    "evaluate_classifier",
    "measure_classifier",
    "train_classifier",
]
