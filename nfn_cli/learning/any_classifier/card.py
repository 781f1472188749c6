"""The model card of a head for any classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Any

from nfn_cli.learning.accuracy_card import column_options
from nfn_cli.learning.any_classifier.folds import ARCHITECTURE
from nfn_cli.learning.any_classifier.interval import fewest_runs
from nfn_cli.learning.any_classifier.measured import Agreement
from nfn_cli.learning.any_classifier.report import AGREEMENT_COLUMNS, UNRUN, AnyReport, LeftOutReport, agreement_row
from nfn_cli.learning.card import ood_options, option, parameters_of, table, wrapped
from nfn_cli.nn import Head
from nfn_cli.nn.kinds import kind_of

_WILD = "wild"
_READS = """**Reads** any classifier that nfn reads: chains of layers, and networks whose module is known. Where it
is known how a network is run, its answers to stored pictures are read as well."""
_LABELLED_READS = """**Reads** the weights alone, of any network whose group nfn knows: those that it traces, and
chains of layers. A network with tensors of a kind that no training network had is flagged, and its interval is
everything."""
# How the card calls the sorts of networks that have their own interval.
_SORTS = {"run": "that are run", "unrun": "that are not run"}
_PLURALS = {"family": "families"}
# Settings of a zoo's record that are options of `nfn zoo wild`, in its order.
_WILD_OPTIONS = ("count", "seed", "budget")


def any_card(head: Head, report: AnyReport) -> str:
    """Markdown for `README.md` in the head's folder."""
    return "\n\n".join(wrapped(block) for block in _blocks(head, report) if block.strip()) + "\n"


def _blocks(head: Head, report: AnyReport) -> Iterator[str]:
    fitted = head.config.fitted
    yield f"# {head.name}"
    yield f"""Predicts the test accuracy of a classifier of pictures from its weights, whatever its architecture.
Kind: {head.config.kind.title}. {parameters_of(head).capitalize()} in all."""
    yield _LABELLED_READS if head.config.accepted.by_labels else _READS
    yield "## Data"
    zoos = ", ".join(fitted["data"])
    yield f"""{fitted["networks"]:,} checkpoints of {fitted["runs"]:,} training runs, of {fitted["architectures"]:,}
architectures ({zoos}), split by run with seed {fitted["split_seed"]}: 70 % train, 12 % calibration, 18 % test."""
    yield f"## Measured on {report.networks:,} checkpoints of {report.runs:,} test runs"
    yield f"""95 % intervals by bootstrap over runs. *Ceiling*: τ between the accuracies on two halves of the test
images, where they are known: what a second measurement on half the images would reach. It is a low ceiling, as labels
from all images are less noisy. {report.architectures:,} architectures{_known_forward(head, report)}."""
    yield table(("", "as they are", "ceiling"), report.figures())
    drift = report.drift
    unmoved = f" The group of {drift.unmoved} more is not known." if drift.unmoved else ""
    yield f"""- {drift.networks} of these networks were moved by random elements of their own groups (permutations,
  scalings {report.scale_range[0]:g} to {report.scale_range[1]:g}, signs). No prediction changes by more than
  {drift.largest:.1e} of the predictions' standard deviation; {drift.flags_changed} flags change.{unmoved}
- *Error, of the best constant's*: mean absolute error, divided by that of the constant that errs least on these
  networks."""
    yield from _population_table("By task", report.by_task)
    yield from _population_table("By family", report.by_family)
    yield from _population_table("Other networks", report.others)
    for own in report.left_out:
        yield from _left_out(own, report.level)
    yield "## Interval"
    ways = [way for way in fitted["left_out"] if way != "run"]
    populations = f", and whole populations (by {', '.join(ways)})" if ways else ""
    yield f"""The interval is set by what fits said of networks that they left out: runs{populations}. It grows with the
distance of a network from what was fitted to, and with how far the members of the head disagree. It is made to hold on
held-out runs and on populations that no fit has seen; what it does there is measured above, each time by an interval
that was set without the population.{_two_sorts(head, report)}"""
    yield "## Out of distribution"
    yield """A network is flagged where its distance from what was fitted to is more than 1. Its interval is widened in
proportion to the distance; rows give the distance."""
    commands = "\n".join([*_zoo_commands(fitted), *_commands(head, fitted)])
    yield f"## Reproduce\n\n```\n{commands}\n```"


def _population_table(title: str, populations: Sequence[Agreement]) -> Iterator[str]:
    if populations:
        yield f"### {title}"
        yield table(("", *AGREEMENT_COLUMNS), [agreement_row(own) for own in populations])


def _left_out(own: LeftOutReport, level: float) -> Iterator[str]:
    yield f"### {_PLURALS.get(own.way, f'{own.way}s').capitalize()} left out"
    each = "Architectures were left out, a tenth at a time" if own.way == ARCHITECTURE else f"Each {own.way} in turn"
    how = (
        f"{each}, of a fit of its own, which then predicts all of its networks."
        if own.way != ARCHITECTURE
        else (f"{each}, each time by a fit that then predicts their networks.")
    )
    yield f"""{how} The interval is set without them too. Means over {len(own.populations)}: τ {own.mean_tau:.3f},
coverage of the {level:.0%} interval {own.mean_coverage:.3f}, flagged {own.mean_flagged:.1%}; the lowest coverage is
{own.lowest_coverage:.3f}."""
    yield table(("", *AGREEMENT_COLUMNS), [agreement_row(population) for population in own.populations])
    if own.unrun is not None:
        yield f"""The {UNRUN}, with the interval for such networks: mean coverage {own.unrun.mean_coverage:.3f}, lowest
{own.unrun.lowest_coverage:.3f}."""
        yield table(("", *AGREEMENT_COLUMNS), [agreement_row(population) for population in own.unrun.populations])


def _by_run_alone(report: AnyReport) -> str:
    """Says where no fit that left out a population was asked about networks that are not run."""
    if not report.left_out or report.known_forward < 1 or any(own.unrun is not None for own in report.left_out):
        return ""
    return """ No fit that left out a population was asked about the second: their interval is set by left-out runs
alone, and may hold less often on a population that no fit has seen."""


def _known_forward(head: Head, report: AnyReport) -> str:
    if head.config.accepted.by_labels:
        return ""
    return f"; of {report.known_forward:.1%} of the networks it is known how they are run"


def _two_sorts(head: Head, report: AnyReport) -> str:
    """Says that networks that are run and those that are not have their own interval; empty for a head that runs
    none."""
    if head.config.accepted.by_labels:
        return ""
    return f""" Networks that are run and networks that are not have each their own interval; the
second is set by the networks that are not run, and by chains that are, read as if it were not known
how.{_by_run_alone(report)}{_few(head.config.fitted, report.level)}"""


def _few(fitted: dict[str, Any], level: float) -> str:
    """Says of which sort of networks there were too few to set an interval; empty where there were enough."""
    least = fewest_runs(level)
    return "".join(
        f""" Of networks {sort} there were {fitted["interval"][key]}, and a {level:.0%} interval takes {least}: theirs
is everything, 0 to 1."""
        for key, sort in _SORTS.items()
        if fitted["interval"][key] < least
    )


def _zoo_commands(fitted: dict[str, Any]) -> Iterator[str]:
    for name, zoo in fitted.get("zoos", {}).items():
        if zoo.get("recipe") == _WILD:
            options = "".join(option(own, zoo.get(own)) for own in _WILD_OPTIONS)
            packed = " --packed" if zoo.get("packed") else ""
            yield f"nfn zoo wild --data {quote(str(zoo['data']))}{options}{packed} --output {quote(name)}"


def _commands(head: Head, fitted: dict[str, Any]) -> list[str]:
    if "commands" in fitted:  # of a head that a script has fitted
        return list(fitted["commands"])
    data, name = " ".join(map(quote, fitted["data"])), quote(head.name)
    epochs = option("epochs", fitted.get("epochs"))
    options = option("labels", fitted.get("labels")) + column_options(fitted) + ood_options(fitted)
    return [
        f"nfn train {data} --output {name} --kind {kind_of(head.config.sizes)}{epochs} --members"
        f" {head.config.sizes.members} --seed {fitted['seed']}{options}",
        f"nfn evaluate {name} {data}{options}",
    ]
