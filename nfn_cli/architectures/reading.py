"""What was read, in words: the network, and what was assumed in reading it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nfn_cli.architectures.architecture import Architecture
from nfn_cli.architectures.layer import StageKind
from nfn_cli.architectures.plan import Plan

_SHOWN = 8  # layers, doubts or tensors that are named


@dataclass(frozen=True)
class Reading:
    """A reading.

    Attributes:
        network: such as `conv1 → conv2 → fc`, chains separated by ` | `.
        activation: such as `relu`, with the frequency of a sine; None where nobody tells it.
        is_stated: whether it is stated that the layers are one chain; otherwise their names and shapes say so.
        assumptions: what was taken for granted, a clause each.
        left: names of tensors that stay as they are.
    """

    network: str
    activation: str | None
    is_stated: bool
    assumptions: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def text(self) -> str:
        """Such as `conv1 → conv2 → fc, relu`."""
        return self.network if self.activation is None else f"{self.network}, {self.activation}"

    @property
    def assumed(self) -> str | None:
        """The assumptions in one line; None where there are none."""
        return "; ".join(self.assumptions) or None


def reading_of(
    architecture: Architecture, plan: Plan, *, is_stated: bool, knows_activation: bool, unstated_frequencies: bool
) -> Reading:
    """Put a reading into words."""
    return Reading(
        network=" | ".join(_chain(own) for own in architecture.chains),
        activation=_activation(architecture, unstated_frequencies) if knows_activation else None,
        is_stated=is_stated,
        assumptions=tuple(_assumptions(architecture, plan, is_stated, knows_activation and unstated_frequencies)),
        left=plan.left,
    )


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join([*names[:_SHOWN], *([f"{more} more"] if more > 0 else [])])


def _chain(architecture: Architecture) -> str:
    names = [layer.name for layer in architecture.layers]
    if len(names) > _SHOWN + 1:
        names = [*names[: _SHOWN - 1], f"… {len(names) - _SHOWN} more", names[-1]]
    return " → ".join(names)


def _activation(architecture: Architecture, unstated_frequencies: bool) -> str:
    if architecture.activation != "sin" or unstated_frequencies:
        return architecture.activation
    values = architecture.omegas or (architecture.omega_0,)
    return f"sin (ω₀ = {', '.join(f'{value:g}' for value in values)})"


def _skippable(architecture: Architecture) -> list[str]:
    """The layers of as many inputs as outputs behind another one: of those a skip would not change a shape."""
    return [
        layer.name
        for chain in architecture.chains
        for before, layer in pairwise(chain.layers)
        if layer.in_features == layer.out_features and layer.kind == before.kind
    ]


def _assumptions(architecture: Architecture, plan: Plan, is_stated: bool, unstated_frequencies: bool) -> list[str]:
    found = []
    if not is_stated and architecture.groups:
        grouped = ", one group a convolution" if any(layer.kind == "conv" for layer in architecture.layers) else ""
        found.append(f"layers follow one another as their names say, activations alone between them{grouped}")
        if names := _skippable(architecture):
            found.append(f"no skip around {some(names)}, which the file would not show")
    if plan.doubts:
        found.append(
            f"some neurons stay in place ({'; '.join(plan.doubts[:2])}{'; …' if len(plan.doubts) > 2 else ''})"
        )
    kinds = {
        kind: [stage.name for layer in architecture.layers for stage in layer.stages if stage.kind is kind]
        for kind in (StageKind.LAYER_NORM, StageKind.GROUP_NORM, StageKind.GAINS)
    }
    if names := kinds[StageKind.LAYER_NORM]:
        found.append(f"{some(names)} taken for LayerNorm")
    if names := kinds[StageKind.GROUP_NORM]:
        found.append(
            f"{some(names)} taken for GroupNorm, whose groups the file does not show, so its neurons keep their order"
        )
    if names := kinds[StageKind.GAINS]:
        found.append(f"{some(names)} may be gains or slopes, so neurons are only permuted")
    if plan.named_norms:
        found.append(f"{some(plan.named_norms)} taken to stand directly behind their layers")
    if unstated_frequencies:
        found.append(
            "the frequency of the sines is not given (--omega-0), so phases stay, and shifted ones make another network"
        )
    return found
