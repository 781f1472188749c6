"""Fit heads to implicit neural representations, and measure them."""

from nfn_cli.learning.inr.edit_evaluation import EditReport, evaluate_editor
from nfn_cli.learning.inr.edit_fit import EditFit
from nfn_cli.learning.inr.editing import EditSettings, train_editor
from nfn_cli.learning.inr.evaluation import ClassReport, evaluate_classifier, measure_classifier
from nfn_cli.learning.inr.training import ClassifierSettings, train_classifier

__all__ = [
    "ClassReport",
    "ClassifierSettings",
    "EditFit",
    "EditReport",
    "EditSettings",
    "evaluate_classifier",
    "evaluate_editor",
    "measure_classifier",
    "train_classifier",
    "train_editor",
]
