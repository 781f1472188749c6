"""What the model card of a head says that classifies INRs."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.learning.card import CardParts, ensemble_of, ood_options, option
from nfn_cli.learning.class_report import ClassReport
from nfn_cli.nn import Head, kind_of
from nfn_cli.nn.inr.coordinate_probe import CoordinateProbeSizes

# Said of layers that can compute the picture, which the reader should know.
_STARTED = "; its layers start as the networks' own pass at {} places, from where they learn on"


def class_card(head: Head, report: ClassReport) -> CardParts:
    """Its parts of the card."""
    fitted = head.config.fitted
    sizes = head.config.sizes
    layers = ", whose layers multiply, with messages between neurons" if getattr(sizes, "messages", False) else ""
    if getattr(sizes, "sines", False):
        layers += f", with sines between the layers{_STARTED.format(sizes.channels) if sizes.messages else ''}"
    also = ", ".join([fitted["data"], *(own["data"] for own in fitted.get("also", ()))])
    shares = ", ".join(f"{name} {value:.3f}" for name, value in report.by_class.items())
    mistakes = "; ".join(f"{true} as {guess} ({count})" for true, guess, count in report.confused)
    return CardParts(
        does=f"""Classifies implicit neural representations from their weights alone.
Kind: {head.config.kind.title}{layers}. {ensemble_of(head)}.""",
        reads=f"**Classes**: {', '.join(head.config.details.classes)}.",
        data=f"""Fitted to {fitted["networks"]:,} networks ({also}) for {fitted["epochs"]} epochs;
one in twenty pictures of the training part set the temperature and the limits of the distribution instead.""",
        measured=f"{report.networks:,} networks of {report.pictures:,} test pictures",
        method="""95 % intervals by bootstrap over pictures.
*Transformed*: each network after a random element of its symmetry group (permutations, signs, phases).""",
        columns=("", "as they are", "transformed"),
        figures=report.figures(),
        notes=f"""- No logit changes by more than {report.drift:.1e} of the logits' spread when a network is
  transformed, and {report.changed} predicted classes and {report.flags_changed} flags change.
- Share right by class: {shares}.
- Commonest mistakes: {mistakes or "none"}.""",
        out_of_distribution=f"""A network is out of distribution, and its class means nothing, if either the Mahalanobis
distance of its invariants ({_invariants(head)}) from the training mean is too
large, or a small network finds them strange that has learned to tell training networks from shuffled and random weights
and from negatives. The table shows the share that is flagged.""",
        ood_columns=("out of distribution", "flagged"),
        ood_rows=[(kind, str(flagged)) for kind, flagged in report.out_of_distribution.items()],
        commands=_commands(head, fitted),
    )


def _invariants(head: Head) -> str:
    probe = isinstance(head.config.sizes, CoordinateProbeSizes)
    return "what the last layer reads, and statistics of the picture" if probe else "what the MLP reads"


def _commands(head: Head, fitted: dict[str, Any]) -> list[str]:
    data, name, sizes = quote(fitted["data"]), quote(head.name), head.config.sizes
    names = head.config.details.classes
    classes = "" if names == tuple(map(str, range(len(names)))) else option("classes", ",".join(names))
    if isinstance(sizes, CoordinateProbeSizes):
        own = f" --side {sizes.side} --channels {sizes.channels}{' --mirror' if sizes.mirror else ''}"
    else:
        own = f" --channels {sizes.channels}{' --messages' if sizes.messages else ''}"
        own += "".join(f" --{name}" for name in ("sines", "augment") if getattr(sizes, name))
    read = option("labels", fitted.get("labels")) + option("activation", fitted.get("activation"))
    read += ood_options(fitted)
    limit = option("limit", fitted.get("count"))
    limit += "".join(option("also", own["data"]) for own in fitted.get("also", ()))
    return [
        f"nfn train-inr {data} --output {name} --kind {kind_of(sizes)}{own} --epochs {fitted['epochs']}"
        f" --members {head.config.members} --seed {fitted['seed']}{limit}{classes}{read}",
        f"nfn evaluate-inr {name} {data}{option('seed', fitted['seed'])}{read}",
    ]
