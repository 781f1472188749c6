"""The model card of a head: what was measured, on what, and the commands that print it again."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.learning.evaluation import Agreement, EvaluationReport
from nfn_cli.nn import Head, HeadConfig, kind_of
from nfn_cli.zoo.hyperparameters import SCHEDULES
from nfn_cli.zoo.small_cnn import WIDTH


def model_card(head: Head, report: EvaluationReport) -> str:
    """Markdown for `README.md` in the head's folder."""
    fitted, accepted = head.config.fitted, head.config.accepted
    layers = ", ".join(str(layer) for layer in accepted.layers)
    scales = f"{report.scale_range[0]:g} to {report.scale_range[1]:g}"
    moved = f"scalings {scales}" if accepted.activation in _SCALED else "sign flips"
    return f"""# {head.name}

Predicts the test accuracy of a network from its weights alone. Kind: {head.config.kind.title}. An ensemble of
{head.config.members} with {sum(parameter.numel() for parameter in head.model.parameters()):,} parameters in all.

**Reads** {accepted.activation} networks of these layers, with any hidden widths: {layers}.
{_running(head.config)}
## Data

{fitted["networks"]:,} checkpoints of {fitted["runs"]:,} training runs ({fitted["data"]}), split by run with seed
{fitted["split_seed"]}: 70 % train, 12 % calibration, 18 % test.
{_stopping(fitted)}{_zoo(fitted)}
## Measured on {report.networks:,} checkpoints of {report.runs} test runs

95 % intervals by bootstrap over runs. *Moved*: each network after a random element of its symmetry group
(permutations, {moved}).

| | as they are | moved |
|---|---|---|
{_rows(report)}

- τ falls by {report.tau_drop:.4f} when networks are moved; no prediction changes by more than {report.drift:.1e} of the
  predictions' standard deviation; {report.flags_changed} population flags change.
- {report.chance_share:.1%} of these networks are no better than chance. Histogram of true accuracies from
  {report.histogram_range[0]:.3f} to {report.histogram_range[1]:.3f}: {", ".join(map(str, report.histogram))}.

## Interval and population

A curve, fitted to what members say of the training runs that they left out, is laid through the predictions. The
interval around them is conformal, the {report.level:.0%} quantile of the absolute error on calibration
runs{_left_out(fitted)}, cut to [0, 1]:
± {half_widths(head)}.

A network is outside the population, and its prediction means little, if {_widths(head.config)}the Mahalanobis distance
of its invariants from the training mean exceeds {_limit(head)}, or if a small network finds them strange that has
learned to tell training networks from outsiders made of them: entries shuffled within each tensor, Gaussian weights of
the same variances, one layer times 10, a random half of the neurons. The limits are the 99.5 % and the 99 % quantile
over calibration runs and cross-validated training runs.

Outsiders made of the test networks, and other populations, none of whose networks the rule has learned from. *Learned*:
those with an accuracy of more than 0.1 above chance, or made of such a network; what is made of others can hardly be
told apart.

| outsiders | networks | flagged | learned | flagged of these |
|---|---|---|---|---|
{_outsider_rows(report)}

## Reproduce

```
{_commands(head, fitted)}
```
"""


def _running(config: HeadConfig) -> str:
    if not config.kind.runs:
        return ""
    forward_pass = config.details.forward_pass
    if not forward_pass.space:
        return "It runs them on learned inputs.\n"
    size = "x".join(map(str, forward_pass.space))
    return f"""It runs them on learned inputs of {size}, with stride {forward_pass.stride} and padding
{forward_pass.padding} in every convolution.
"""


_SCALED = ("relu", "leaky_relu", "prelu")


def _rows(report: EvaluationReport) -> str:
    def row(name: str, attribute: str) -> str:
        before: Agreement = getattr(report.plain, attribute)
        after: Agreement = getattr(report.moved, attribute)
        return f"| {name} | {before} | {after} |"

    names = {
        "tau": "Kendall's τ",
        "r_squared": "R²",
        "mean_absolute_error": "mean absolute error",
        "coverage": f"coverage of the {report.level:.0%} interval",
        "flagged": "outside the population",
    }
    return "\n".join(row(name, attribute) for attribute, name in names.items())


def half_widths(head: Head) -> str:
    """By predicted accuracy, if they differ."""
    calibration = head.model.calibration
    pairs = list(zip(calibration.knots.tolist(), calibration.radii.tolist(), strict=True))
    if len({radius for _, radius in pairs}) == 1:
        return f"{pairs[0][1]:.4f}"
    first, *others = pairs
    told = [
        f"{first[1]:.4f} where {first[0]:.1%} are predicted",
        *(f"{radius:.4f} at {at:.1%}" for at, radius in others),
    ]
    return ", ".join(told)


def _left_out(fitted: dict[str, Any]) -> str:
    if not fitted.get("folds"):
        return ""
    return f""", and of each member on the {1 / fitted["folds"]:.1%} of the training
runs that it was not fitted to, scaled to the ensemble's error"""


def _widths(config: HeadConfig) -> str:
    if not config.details.widths:
        return ""
    return f"""its hidden widths are not
{", ".join(map(str, config.details.widths))}, as those of all networks that it was fitted to, or if """


def _limit(head: Head) -> str:
    return f"{head.model.ood_detector.limit.item():.1f}"


def _outsider_rows(report: EvaluationReport) -> str:
    return "\n".join(
        f"| {own.kind} | {own.networks:,} | {own.flagged} | {own.trained:,} | {own.trained_flagged or ''} |"
        for own in report.outsiders
    )


def _stopping(fitted: dict[str, Any]) -> str:
    if not fitted.get("validation"):
        return ""
    patience = f", stopped after {fitted['patience']} epochs without a better one" if fitted.get("patience") else ""
    return f"""
Each member left out {fitted["validation"]:.0%} of the training runs, others each, to validate{patience}.
Of at most {fitted["epochs"]} epochs, the weights are those after epochs {", ".join(map(str, fitted["kept_epochs"]))}.
"""


def _zoo(fitted: dict[str, Any]) -> str:
    zoo = fitted.get("zoo")
    if not zoo:
        return ""
    width = f" of width {zoo['width']}" if zoo.get("width", WIDTH) != WIDTH else ""
    epochs = ", ".join(map(str, zoo["epochs"]))
    return f"""
The zoo: the recipe of the Small CNN Zoo (Unterthiner et al. 2020, arXiv 2002.11448) on `{zoo["data"]}`,
{fitted["runs"]} runs{width} with activation {zoo["activation"]}, saved after epochs {epochs} of
{max(zoo["epochs"])}, batches of {zoo["batch_size"]} images; {len(zoo["diverged"])} runs diverged.
"""


def _commands(head: Head, fitted: dict[str, Any]) -> str:
    zoo, data, name = fitted.get("zoo"), quote(fitted["data"]), quote(head.name)
    labels = f" --labels {quote(fitted['labels'])}" if fitted.get("labels") else ""
    target = f" --target {quote(fitted['column'])}" if fitted["column"] != "test_accuracy" else ""
    activation = f" --activation {fitted['activation']}" if fitted.get("activation") else ""
    running = head.config.details.forward_pass
    kind = f" --kind {kind_of(head.config.sizes)}"
    if head.config.kind.runs and running.space and not zoo:
        size = "x".join(map(str, running.space))
        kind += f" --input-size {size} --stride {running.stride} --padding {running.padding}"
    runs = f" --run-column {quote(fitted['run_column'])}" if fitted.get("run_column", "run") != "run" else ""
    options = f"{labels}{target}{runs}{activation}"
    patience = f" --patience {fitted['patience']}" if fitted.get("patience") else ""
    validation = f" --validation {fitted['validation']:g}" if fitted.get("validation") else ""
    lines = []
    if zoo:
        lines.append(zoo_command(zoo, data))
    outsiders = ""
    for named, other in fitted.get("outsiders", {}).items():
        if other["zoo"]:
            lines.append(zoo_command(other["zoo"], quote(other["data"])))
        outsiders += f" --outsiders {quote(named + '=' + other['data'])}"
    lines.append(
        f"nfn train {data} --out {name}{kind} --epochs {fitted['epochs']} --members {head.config.members}"
        f" --seed {fitted['seed']}{patience}{validation}{options}{outsiders}"
    )
    lines.append(f"nfn evaluate {name} {data}{options}{outsiders}")
    return "\n".join(lines)


def zoo_command(zoo: dict[str, Any], out: str) -> str:
    """The command that makes a zoo of small CNNs again, from its record, in the folder `out`."""
    epochs = " ".join(f"--epochs {epoch}" for epoch in zoo["epochs"])
    images = f" --images {zoo['image_limit']}" if zoo["image_limit"] else ""
    width = f" --width {zoo['width']}" if zoo.get("width", WIDTH) != WIDTH else ""
    schedule = f" --schedule {zoo['schedule']}" if zoo.get("schedule", SCHEDULES[0]) != SCHEDULES[0] else ""
    return (
        f"nfn zoo cnn --data {quote(zoo['data'])} --activation {zoo['activation']} --count {zoo['count']}"
        f" --seed {zoo['seed']} {epochs} --batch-size {zoo['batch_size']}{width}{schedule}{images}"
        f" --precision {zoo['precision']}{' --packed' if zoo['packed'] else ''} --out {out}"
    )
