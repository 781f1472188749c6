"""Layers for sine networks that respect permutations, signs and phase shifts."""

from nfn_cli.nn.sine.fields import FieldSizes, SineFields, lifted, pack
from nfn_cli.nn.sine.layers import SineActivation, SineLinear, SineMessages
from nfn_cli.nn.sine.monomial_editor import MonomialEditor, MonomialEditorSizes
from nfn_cli.nn.sine.monomial_inr import MonomialInr, MonomialInrSizes
from nfn_cli.nn.sine.waves import WaveBody, WaveMessages

__all__ = [
    "FieldSizes",
    "MonomialEditor",
    "MonomialEditorSizes",
    "MonomialInr",
    "MonomialInrSizes",
    "SineActivation",
    "SineFields",
    "SineLinear",
    "SineMessages",
    "WaveBody",
    "WaveMessages",
    "lifted",
    "pack",
]
