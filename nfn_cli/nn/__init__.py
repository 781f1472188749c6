"""Networks that read networks: equivariant and invariant layers, and the heads made of them.

>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.nn import Layout, MonomialNFN, MonomialNFNSizes
>>> mlp = chain([Layer("0", "linear", 2, 8, ()), Layer("1", "linear", 8, 3, ())], activation="tanh")
>>> model = MonomialNFN(Layout.of(mlp), MonomialNFNSizes(channels=4))
>>> [linear.weight.shape for linear in model.equivariant[0].maps]  # no size depends on the width 8
[torch.Size([4, 6]), torch.Size([4, 3])]

Importing the package imports no torch; the first use of a name does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nfn_cli.nn.accepted import Accepted as Accepted
    from nfn_cli.nn.accepted import AcceptedLayer as AcceptedLayer
    from nfn_cli.nn.choose import choose_head as choose_head
    from nfn_cli.nn.choose import folder_of_head as folder_of_head
    from nfn_cli.nn.choose import load_config as load_config
    from nfn_cli.nn.choose import load_head as load_head
    from nfn_cli.nn.choose import shipped_heads_of as shipped_heads_of
    from nfn_cli.nn.choose import task_of_head as task_of_head
    from nfn_cli.nn.ensemble import Ensemble as Ensemble
    from nfn_cli.nn.equivariant import EquivariantActivation as EquivariantActivation
    from nfn_cli.nn.equivariant import MonomialLinear as MonomialLinear
    from nfn_cli.nn.forward_pass import ForwardPass as ForwardPass
    from nfn_cli.nn.head import Head as Head
    from nfn_cli.nn.head import HeadConfig as HeadConfig
    from nfn_cli.nn.head import read_head as read_head
    from nfn_cli.nn.head_folder import contents_of as contents_of
    from nfn_cli.nn.inr.coordinate_probe import CoordinateProbe as CoordinateProbe
    from nfn_cli.nn.inr.coordinate_probe import CoordinateProbeSizes as CoordinateProbeSizes
    from nfn_cli.nn.invariant import MonomialInvariant as MonomialInvariant
    from nfn_cli.nn.kinds import Kind as Kind
    from nfn_cli.nn.kinds import kind_of as kind_of
    from nfn_cli.nn.kinds import load_kind as load_kind
    from nfn_cli.nn.kinds import sizes_of as sizes_of
    from nfn_cli.nn.layout import Field as Field
    from nfn_cli.nn.layout import Layout as Layout
    from nfn_cli.nn.monomial_nfn import MonomialNFN as MonomialNFN
    from nfn_cli.nn.monomial_nfn import MonomialNFNSizes as MonomialNFNSizes
    from nfn_cli.nn.monomial_probe import MonomialProbe as MonomialProbe
    from nfn_cli.nn.monomial_probe import MonomialProbeSizes as MonomialProbeSizes
    from nfn_cli.nn.monomial_probe import read_unit_form as read_unit_form
    from nfn_cli.nn.names import EDITS as EDITS
    from nfn_cli.nn.names import HEAD_KINDS as HEAD_KINDS
    from nfn_cli.nn.names import TASKS as TASKS
    from nfn_cli.nn.ood_detector import OODDetector as OODDetector
    from nfn_cli.nn.tasks.accuracy import AccuracyDetails as AccuracyDetails
    from nfn_cli.nn.tasks.accuracy import Predictions as Predictions
    from nfn_cli.nn.tasks.classification import ClassDetails as ClassDetails
    from nfn_cli.nn.tasks.classification import Classification as Classification
    from nfn_cli.nn.tasks.editing import EditDetails as EditDetails
    from nfn_cli.nn.unit_fields import read_fields as read_fields
    from nfn_cli.shipped import models_folder as models_folder
    from nfn_cli.shipped import shipped_heads as shipped_heads

# The public names of each file, as above.
_HOMES = {
    name: home
    for home, names in {
        "nfn_cli.nn.accepted": ("Accepted", "AcceptedLayer"),
        "nfn_cli.nn.choose": (
            "choose_head",
            "folder_of_head",
            "load_config",
            "load_head",
            "shipped_heads_of",
            "task_of_head",
        ),
        "nfn_cli.nn.ensemble": ("Ensemble",),
        "nfn_cli.nn.equivariant": ("EquivariantActivation", "MonomialLinear"),
        "nfn_cli.nn.forward_pass": ("ForwardPass",),
        "nfn_cli.nn.head": ("Head", "HeadConfig", "read_head"),
        "nfn_cli.nn.head_folder": ("contents_of",),
        "nfn_cli.nn.inr.coordinate_probe": ("CoordinateProbe", "CoordinateProbeSizes"),
        "nfn_cli.nn.invariant": ("MonomialInvariant",),
        "nfn_cli.nn.kinds": ("Kind", "kind_of", "load_kind", "sizes_of"),
        "nfn_cli.nn.layout": ("Field", "Layout"),
        "nfn_cli.nn.monomial_nfn": ("MonomialNFN", "MonomialNFNSizes"),
        "nfn_cli.nn.monomial_probe": ("MonomialProbe", "MonomialProbeSizes", "read_unit_form"),
        "nfn_cli.nn.names": ("EDITS", "HEAD_KINDS", "TASKS"),
        "nfn_cli.nn.ood_detector": ("OODDetector",),
        "nfn_cli.nn.tasks.accuracy": ("AccuracyDetails", "Predictions"),
        "nfn_cli.nn.tasks.classification": ("ClassDetails", "Classification"),
        "nfn_cli.nn.tasks.editing": ("EditDetails",),
        "nfn_cli.nn.unit_fields": ("read_fields",),
        "nfn_cli.shipped": ("models_folder", "shipped_heads"),
    }.items()
    for name in names
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
