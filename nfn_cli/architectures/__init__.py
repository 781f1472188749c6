"""Tensors to architecture: ordered layers, neuron groups, axis roles, and the functional forward pass.

>>> from nfn_cli.architectures import Layer, chain
>>> chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="tanh").describe()
'linear 2->8, linear 8->3 (tanh)'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.lazy import lazily

if TYPE_CHECKING:
    from nfn_cli.architectures.activations import FUNCTIONS, Activation, canonical_activation
    from nfn_cli.architectures.architecture import COORDINATES, Architecture, NeuronGroup, TensorSpec, chain
    from nfn_cli.architectures.forward import functional_forward, population_forward
    from nfn_cli.architectures.frequencies import parsed_frequencies
    from nfn_cli.architectures.grids import pixel_grid, places_along
    from nfn_cli.architectures.implicit_pictures import picture_values
    from nfn_cli.architectures.layer import Layer, Stage, StageKind
    from nfn_cli.architectures.network_weights import NetworkWeights, joined, stack
    from nfn_cli.architectures.phases import with_phases_within_one_turn, within_one_turn
    from nfn_cli.architectures.read import ReadNetwork, read_network, read_weights
    from nfn_cli.architectures.reading import Reading
    from nfn_cli.architectures.roles import AxisRole, Side
    from nfn_cli.architectures.stated import Stated
    from nfn_cli.architectures.value_range import DEFAULT_RANGE, from_plain_range, to_plain_range
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "COORDINATES",
    "DEFAULT_RANGE",
    "FUNCTIONS",
    "Activation",
    "Architecture",
    "AxisRole",
    "Layer",
    "NetworkWeights",
    "NeuronGroup",
    "ReadNetwork",
    "Reading",
    "Side",
    "Stage",
    "StageKind",
    "Stated",
    "TensorSpec",
    "canonical_activation",
    "chain",
    "from_plain_range",
    "functional_forward",
    "joined",
    "parsed_frequencies",
    "picture_values",
    "pixel_grid",
    "places_along",
    "population_forward",
    "read_network",
    "read_weights",
    "stack",
    "to_plain_range",
    "with_phases_within_one_turn",
    "within_one_turn",
]
