"""Fit heads to labelled networks and measure them honestly: splits and bootstrap by training run.

>>> from nfn_cli.learning import part_of
>>> part_of("17", seed=0) == part_of("17", seed=0)
True
"""

from nfn_cli.learning.accuracy_report import Agreement, EvaluationReport, measure
from nfn_cli.learning.accuracy_settings import AccuracySettings
from nfn_cli.learning.any_classifier.evaluate import evaluate_any_head
from nfn_cli.learning.any_classifier.report import AnyReport, measure_any
from nfn_cli.learning.any_classifier.settings import AnySettings
from nfn_cli.learning.any_classifier.train import train_any_head
from nfn_cli.learning.class_report import ClassReport, measure_classifier
from nfn_cli.learning.conformal import crossed_residuals, interval_radius, local_radii
from nfn_cli.learning.edit_report import EditReport, measure_editor
from nfn_cli.learning.editor_fit import EditFit
from nfn_cli.learning.evaluate import evaluate_head
from nfn_cli.learning.fit_state import has_state, is_unfinished
from nfn_cli.learning.fitting import fit_member
from nfn_cli.learning.member_fit import FitOutcome, FitSettings, Member
from nfn_cli.learning.metrics import Estimate, bootstrap, kendall_tau, label_ceiling, mean_absolute_error, r_squared
from nfn_cli.learning.out_of_distribution import OODReport
from nfn_cli.learning.populations import (
    Covered,
    IntervalReport,
    IntervalSettings,
    PopulationReport,
    calibrate_head,
)
from nfn_cli.learning.settings import EvaluateSettings, TrainSettings
from nfn_cli.learning.splits import part_of
from nfn_cli.learning.tasks.classification import ClassifierSettings
from nfn_cli.learning.tasks.editing import EditSettings
from nfn_cli.learning.train import FitPlan, train_head

__all__ = [
    "AccuracySettings",
    "Agreement",
    "AnyReport",
    "AnySettings",
    "ClassReport",
    "ClassifierSettings",
    "Covered",
    "EditFit",
    "EditReport",
    "EditSettings",
    "Estimate",
    "EvaluateSettings",
    "EvaluationReport",
    "FitOutcome",
    "FitPlan",
    "FitSettings",
    "IntervalReport",
    "IntervalSettings",
    "Member",
    "OODReport",
    "PopulationReport",
    "TrainSettings",
    "bootstrap",
    "calibrate_head",
    "crossed_residuals",
    "evaluate_any_head",
    "evaluate_head",
    "fit_member",
    "has_state",
    "interval_radius",
    "is_unfinished",
    "kendall_tau",
    "label_ceiling",
    "local_radii",
    "mean_absolute_error",
    "measure",
    "measure_any",
    "measure_classifier",
    "measure_editor",
    "part_of",
    "r_squared",
    "train_any_head",
    "train_head",
]
