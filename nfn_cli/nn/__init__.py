"""Networks that read networks: equivariant and invariant layers, and the heads made of them.

>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.nn import Layout, MonomialNFN, MonomialNFNSizes
>>> mlp = chain([Layer("0", "linear", 2, 8, ()), Layer("1", "linear", 8, 3, ())], activation="tanh")
>>> model = MonomialNFN(Layout.of(mlp), MonomialNFNSizes(channels=4))
>>> [linear.weight.shape for linear in model.equivariant[0].maps]  # no size depends on the width 8
[torch.Size([4, 6]), torch.Size([4, 3])]
"""

from nfn_cli.nn.accepted import Accepted, AcceptedLayer
from nfn_cli.nn.choose import (
    Reads,
    choose_head,
    head_folder,
    load_head,
    shipped_configs,
    task_of_head,
)
from nfn_cli.nn.equivariance import act_on_fields, assert_equivariant, assert_invariant
from nfn_cli.nn.equivariant import EquivariantActivation, MonomialLinear
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.head import Ensemble, Head, HeadConfig, Predictions, read_head
from nfn_cli.nn.head_folder import contents_of
from nfn_cli.nn.inputs import read_fields
from nfn_cli.nn.invariant import MonomialInvariant
from nfn_cli.nn.kinds import KINDS, Kind, Sizes, kind_of
from nfn_cli.nn.layout import Field, Layout
from nfn_cli.nn.monomial_nfn import MonomialNFN, MonomialNFNSizes
from nfn_cli.nn.monomial_probe import MonomialProbe, MonomialProbeSizes, read_unit_form
from nfn_cli.nn.population import Population
from nfn_cli.shipped import models_folder, shipped_heads

__all__ = [
    "KINDS",
    "Accepted",
    "AcceptedLayer",
    "Ensemble",
    "EquivariantActivation",
    "Field",
    "ForwardPass",
    "Head",
    "HeadConfig",
    "Kind",
    "Layout",
    "MonomialInvariant",
    "MonomialLinear",
    "MonomialNFN",
    "MonomialNFNSizes",
    "MonomialProbe",
    "MonomialProbeSizes",
    "Population",
    "Predictions",
    "Reads",
    "Sizes",
    "act_on_fields",
    "assert_equivariant",
    "assert_invariant",
    "choose_head",
    "contents_of",
    "head_folder",
    "kind_of",
    "load_head",
    "models_folder",
    "read_fields",
    "read_head",
    "read_unit_form",
    "shipped_configs",
    "shipped_heads",
    "task_of_head",
]
