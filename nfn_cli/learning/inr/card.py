"""The model card of a head that classifies INRs."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.learning.inr.evaluation import ClassReport
from nfn_cli.nn import CoordinateProbeSizes, Head, kind_of
from nfn_cli.nn.sine import MonomialInrSizes


def classifier_card(head: Head, report: ClassReport) -> str:
    """Markdown for `README.md` in the head's folder."""
    config, fitted = head.config, head.config.fitted
    layers = ", ".join(str(layer) for layer in config.accepted.layers)
    omega_0 = f", ω₀ = {config.accepted.omega_0:g}" if config.accepted.omega_0 else ""
    parameters = sum(parameter.numel() for parameter in head.model.parameters())
    members = "One network" if config.members == 1 else f"An ensemble of {config.members} networks"
    return f"""# {head.name}

Classifies implicit neural representations from their weights alone. Kind: {config.kind.title}{_layers(config.sizes)}.
{members}, with {parameters:,} parameters in all.

**Reads** {config.accepted.activation} networks{omega_0} of these layers, with any hidden widths: {layers}.
**Classes**: {", ".join(config.details.classes)}.

## Data

Fitted to {fitted["networks"]:,} networks ({fitted["data"]}) for {fitted["epochs"]} epochs; one in twenty pictures of
the training part set the temperature and the limits of the population instead.
{_zoo(fitted)}
## Measured on {report.networks:,} networks of {report.pictures:,} test pictures

95 % intervals by bootstrap over pictures. *Moved*: each network after a random element of its symmetry group
(permutations, signs, phases).

| | as they are | moved |
|---|---|---|
| accuracy | {report.accuracy} | {report.moved_accuracy} |
| among the three most probable | {report.top3} | |
| cross entropy | {report.loss:.4f} | |
| expected calibration error | {report.calibration_error:.4f} | |
| outside the population | {report.flagged} | |

- No logit changes by more than {report.drift:.1e} of the logits' spread when a network is moved, and {report.changed}
  predicted classes and {report.flags_changed} flags change.
- Share right by class: {", ".join(f"{name} {value:.3f}" for name, value in report.by_class.items())}.
- Commonest mistakes: {"; ".join(f"{true} as {guess} ({count})" for true, guess, count in report.confused) or "none"}.

A network is outside the population, and its class means nothing, if either the Mahalanobis distance of its invariants
(what the last layer reads, and statistics of the picture) from the training mean is too large, or a small network finds
them strange that has learned to tell training networks from shuffled and random weights and from negatives. Share of
outsiders that is flagged:

| outsiders | flagged |
|---|---|
{_outsiders(report)}

## Reproduce

```
{_commands(head, fitted)}
```
"""


def _layers(sizes: Any) -> str:
    between = isinstance(sizes, MonomialInrSizes) and sizes.messages
    return ", whose layers multiply, with messages between neurons" if between else ""


def _outsiders(report: ClassReport) -> str:
    return "\n".join(f"| {kind} | {flagged} |" for kind, flagged in report.outsiders.items())


def _zoo(fitted: dict[str, Any]) -> str:
    zoo = fitted.get("zoo")
    if not zoo:
        return ""
    return f"""
The zoo: a SIREN of {zoo["hidden_layers"]} hidden layers of {zoo["width"]} neurons for each of {zoo["count"]:,}
training and {zoo["test_count"]:,} test pictures of `{zoo["data"]}`, {zoo["fits"]} independent fit(s) each of
{zoo["steps"]} full-batch steps of Adam.
"""


def _commands(head: Head, fitted: dict[str, Any]) -> str:
    zoo, data, name = fitted.get("zoo"), quote(fitted["data"]), quote(head.name)
    labels = f" --labels {quote(fitted['labels'])}" if fitted.get("labels") else ""
    activation = f" --activation {fitted['activation']}" if fitted.get("activation") else ""
    lines = []
    if zoo:
        lines.append(
            f"nfn zoo inr --data {quote(zoo['data'])} --count {zoo['count']} --test-count {zoo['test_count']}"
            f" --fits {zoo['fits']} --width {zoo['width']} --hidden-layers {zoo['hidden_layers']}"
            f" --omega-0 {zoo['omega_0']:g} --steps {zoo['steps']} --learning-rate {zoo['learning_rate']:g}"
            f" --seed {zoo['seed']}{' --packed' if zoo['packed'] else ''} --out {data}"
        )
    outsiders = "".join(
        f" --outsiders {quote(f'{kind}={folder}')}" for kind, folder in fitted.get("outsiders", {}).items()
    )
    count = f" --count {fitted['count']}" if fitted.get("count") else ""
    names = head.config.details.classes
    classes = "" if names == tuple(map(str, range(len(names)))) else f" --classes {quote(','.join(names))}"
    lines.append(
        f"nfn train-inr {data} --out {name} --kind {kind_of(head.config.sizes)}{_options(head)} --epochs"
        f" {fitted['epochs']} --members {head.config.members} --seed {fitted['seed']}{count}{classes}{labels}"
        f"{activation}{outsiders}"
    )
    seed = f" --seed {fitted['seed']}" if fitted["seed"] else ""
    lines.append(f"nfn evaluate-inr {name} {data}{seed}{labels}{activation}{outsiders}")
    return "\n".join(lines)


def _options(head: Head) -> str:
    sizes = head.config.sizes
    if not isinstance(sizes, CoordinateProbeSizes):
        return f" --channels {sizes.channels}{' --messages' if sizes.messages else ''}"
    mirror = " --mirror" if sizes.mirror else ""
    return f" --side {sizes.side} --channels {sizes.channels}{mirror}"
