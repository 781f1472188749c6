"""What the model card of a head says that predicts accuracies."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.learning.accuracy_report import EvaluationReport
from nfn_cli.learning.card import ACTIVATIONS_WITH_SCALES, CardParts, ensemble_of, ood_options, option
from nfn_cli.nn import Head, HeadConfig, kind_of

_OOD_COLUMNS = ("out of distribution", "networks", "flagged", "learned", "flagged of these")


def accuracy_card(head: Head, report: EvaluationReport) -> CardParts:
    """Its parts of the card."""
    fitted, details = head.config.fitted, head.config.details
    scales = f"scalings {report.scale_range[0]:g} to {report.scale_range[1]:g}"
    elements = scales if head.config.accepted.activation in ACTIVATIONS_WITH_SCALES else "sign flips"
    low, high = report.histogram_range
    return CardParts(
        does=f"""Predicts the test accuracy of a network from its weights alone. Kind: {head.config.kind.title}.
{ensemble_of(head)}.""",
        reads=_running(head.config),
        data=f"""{fitted["networks"]:,} checkpoints of {fitted["runs"]:,} training runs ({fitted["data"]}),
split by run with seed {fitted["split_seed"]}: 70 % train, 12 % calibration, 18 % test.{_besides(fitted)}

{_stopping(fitted)}""",
        measured=f"{report.networks:,} checkpoints of {report.runs} test runs",
        method=f"""95 % intervals by bootstrap over runs.
*Transformed*: each network after a random element of its symmetry group (permutations, {elements}).""",
        columns=("", "as they are", "transformed"),
        figures=report.figures(),
        notes=f"""- τ falls by {report.tau_drop:.4f} when networks are transformed;
  no prediction changes by more than {report.drift:.1e} of the predictions' standard deviation; {report.flags_changed}
  flags change.{_ceiling(report)}
- {report.chance_share:.1%} of these networks are no better than chance. Histogram of true accuracies from
  {low:.3f} to {high:.3f}: {", ".join(map(str, report.histogram))}.""",
        sections=f"""## Interval

A curve, fitted to what members say of the training runs that they left out, is laid through the predictions. The
interval around them is conformal, the {details.level:.0%} quantile of the absolute error on calibration
runs{_left_out(fitted)}, cut to [0, 1]:
± {half_widths(head)}.""",
        out_of_distribution=f"""A network is out of distribution, and its prediction means little, if
{_widths(head)}the Mahalanobis distance of its invariants from the training mean exceeds
{head.model.ood_detector.limit.item():.1f}, or if a small network finds them strange that has learned to tell
training networks from what is made of them: entries shuffled within each tensor, Gaussian weights of
the same variances, one layer times 10, a random half of the neurons. The limits are the 99.5 % and the 99 % quantile
over calibration runs and cross-validated training runs.

The table shows the share that is flagged of networks made of the test networks, and of other populations, none of which
the rule has learned from. *Learned*: those with an accuracy of more than 0.1 above chance, or made of such a network;
what is made of others can hardly be told apart.""",
        ood_columns=_OOD_COLUMNS,
        ood_rows=[
            (own.kind, f"{own.networks:,}", str(own.flagged), f"{own.trained:,}", str(own.trained_flagged or ""))
            for own in report.out_of_distribution
        ],
        commands=_commands(head, fitted),
    )


def _ceiling(report: EvaluationReport) -> str:
    if report.tau_ceiling is None:
        return ""
    return """
- The ceiling of τ is Kendall's τ between accuracies on two halves of the test images: what a second measurement on half
  the images would reach. It is a low ceiling, as labels from all images are less noisy."""


def half_widths(head: Head) -> str:
    """Of the interval, by predicted accuracy if they differ."""
    calibration = head.model.calibration
    pairs = list(zip(calibration.knots.tolist(), calibration.radii.tolist(), strict=True))
    if len({radius for _, radius in pairs}) == 1:
        return f"{pairs[0][1]:.4f}"
    first, *others = pairs
    along = "".join(f", {radius:.4f} at {at:.1%}" for at, radius in others)
    return f"{first[1]:.4f} where {first[0]:.1%} are predicted{along}"


def column_options(record: dict[str, Any]) -> str:
    """The options that say what was read, from a record that has `column`, `run_column` and `activation`."""
    return (
        option("target", record["column"], "test_accuracy")
        + option("run-column", record.get("run_column"), "run")
        + option("activation", record.get("activation"))
    )


def _running(config: HeadConfig) -> str:
    if not config.kind.runs:
        return ""
    forward_pass = config.details.forward_pass
    if not forward_pass.space:
        return "It runs them on learned inputs."
    size = "x".join(map(str, forward_pass.space))
    return f"""It runs them on learned inputs of {size}, with stride {forward_pass.stride} and padding
{forward_pass.padding} in every convolution."""


def _left_out(fitted: dict[str, Any]) -> str:
    if not fitted.get("folds"):
        return ""
    return f""", and of each member on the {1 / fitted["folds"]:.1%} of the training
runs that it was not fitted to, scaled to the ensemble's error"""


def _widths(head: Head) -> str:
    widths = head.config.details.widths
    if not widths:
        return ""
    return f"""its hidden widths are not
{", ".join(map(str, widths))}, as those of all networks that it was fitted to, or if """


def _stopping(fitted: dict[str, Any]) -> str:
    if not fitted.get("validation"):
        return ""
    patience = f", stopped after {fitted['patience']} epochs without a better one" if fitted.get("patience") else ""
    return f"""Each member left out {fitted["validation"]:.0%} of the training runs, others each, to validate{patience}.
Of at most {fitted["epochs"]} epochs, the weights are those after epochs
{", ".join(map(str, fitted["kept_epochs"]))}."""


def _besides(fitted: dict[str, Any]) -> str:
    """What a fit follows from besides its zoo."""
    found = ""
    if also := fitted.get("also"):
        names = ", ".join(f"`{own['data']}`" for own in also)
        found += f"""
It was fitted to {fitted["also_networks"]:,} other networks of the training runs as well ({names})."""
    if images := fitted.get("probe_images"):
        found += f"""
Learned inputs started as training images of `{images}`, class by class."""
    return found


def _commands(head: Head, fitted: dict[str, Any]) -> list[str]:
    data, name = quote(fitted["data"]), quote(head.name)
    running = head.config.details.forward_pass
    kind = option("kind", kind_of(head.config.sizes))
    if head.config.kind.runs and running.space and not fitted.get("zoo"):
        size = "x".join(map(str, running.space))
        kind += f" --input-size {size} --stride {running.stride} --padding {running.padding}"
    options = option("labels", fitted.get("labels")) + column_options(fitted) + ood_options(fitted)
    besides = "".join(option("also", own["data"]) for own in fitted.get("also", ()))
    besides += option("probe-images", fitted.get("probe_images"))
    stopping = option("patience", fitted.get("patience")) + option("validation", fitted.get("validation"))
    return [
        f"nfn train {data} --output {name}{kind} --epochs {fitted['epochs']} --members {head.config.members}"
        f" --seed {fitted['seed']}{besides}{stopping}{options}",
        f"nfn evaluate {name} {data}{options}",
    ]
