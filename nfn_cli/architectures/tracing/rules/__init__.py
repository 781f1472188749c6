"""One rule an operator; one file a kind of rule."""

from nfn_cli.architectures.tracing.rules import (
    activations,
    attention,
    choices,
    contractions,
    convolutions,
    elementwise,
    lookups,
    movement,
    normalisations,
    parts,
    pooling,
    recurrence,
    reductions,
    routing,
)
from nfn_cli.architectures.tracing.rules.movement import SHAPES_ONLY
from nfn_cli.architectures.tracing.rules.registry import RULES, Call

__all__ = [
    "RULES",
    "SHAPES_ONLY",
    "Call",
    "activations",
    "attention",
    "choices",
    "contractions",
    "convolutions",
    "elementwise",
    "lookups",
    "movement",
    "normalisations",
    "parts",
    "pooling",
    "recurrence",
    "reductions",
    "routing",
]
