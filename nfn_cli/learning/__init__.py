"""Fit heads to labelled checkpoints and measure them honestly: splits and bootstrap by training run.

>>> from nfn_cli.learning import part_of
>>> part_of("17", seed=0) == part_of("17", seed=0)
True
"""

from nfn_cli.learning.conformal import crossed_residuals, interval_radius, local_radii
from nfn_cli.learning.evaluation import Agreement, EvaluateSettings, EvaluationReport, evaluate_head, measure
from nfn_cli.learning.fit_state import has_state, is_unfinished
from nfn_cli.learning.fitting import FitOutcome, FitSettings, Member, fit_member
from nfn_cli.learning.metrics import Estimate, bootstrap, kendall_tau, mean_absolute_error, r_squared
from nfn_cli.learning.outsiders import OutsiderReport
from nfn_cli.learning.populations import (
    Covered,
    IntervalReport,
    IntervalSettings,
    PopulationReport,
    calibrate_head,
)
from nfn_cli.learning.splits import part_of
from nfn_cli.learning.training import TrainSettings, train_head

__all__ = [
    "Agreement",
    "Covered",
    "Estimate",
    "EvaluateSettings",
    "EvaluationReport",
    "FitOutcome",
    "FitSettings",
    "IntervalReport",
    "IntervalSettings",
    "Member",
    "OutsiderReport",
    "PopulationReport",
    "TrainSettings",
    "bootstrap",
    "calibrate_head",
    "crossed_residuals",
    "evaluate_head",
    "fit_member",
    "has_state",
    "interval_radius",
    "is_unfinished",
    "kendall_tau",
    "local_radii",
    "mean_absolute_error",
    "measure",
    "part_of",
    "r_squared",
    "train_head",
]
