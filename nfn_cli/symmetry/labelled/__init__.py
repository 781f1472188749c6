"""The group on labels: elements, their action, sampling, files of elements, and the proof that outputs stay.

>>> import torch
>>> from nfn_cli.architectures import Layer, chain
>>> mlp = label_chain(chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu"))
>>> g = sample(mlp, torch.Generator().manual_seed(0))
>>> bool(compose(mlp, g, inverse(mlp, g)).is_permutation)
True
"""

from nfn_cli.symmetry.labelled.action import TensorAction, act, act_on_tensor
from nfn_cli.symmetry.labelled.chains import chain_element, label_chain
from nfn_cli.symmetry.labelled.element import Element, compose, element_of, identity, inverse
from nfn_cli.symmetry.labelled.fingerprint import fingerprint
from nfn_cli.symmetry.labelled.free_scales import free_logs, free_signs
from nfn_cli.symmetry.labelled.normal_form import LabelledForm, normal_form
from nfn_cli.symmetry.labelled.positions import used_variables
from nfn_cli.symmetry.labelled.proof import Proof, ProofRow, prove
from nfn_cli.symmetry.labelled.sampling import sample
from nfn_cli.symmetry.labelled.stored_element import fault, load_labelled_element, save_labelled_element
from nfn_cli.symmetry.labelled.transformed import TransformedTensors
from nfn_cli.symmetry.labelled.unit_orders import orders_of
from nfn_cli.symmetry.labelled.variance_bounds import bounded, without_extremes

__all__ = [
    "Element",
    "LabelledForm",
    "Proof",
    "ProofRow",
    "TensorAction",
    "TransformedTensors",
    "act",
    "act_on_tensor",
    "bounded",
    "chain_element",
    "compose",
    "element_of",
    "fault",
    "fingerprint",
    "free_logs",
    "free_signs",
    "identity",
    "inverse",
    "label_chain",
    "load_labelled_element",
    "normal_form",
    "orders_of",
    "prove",
    "sample",
    "save_labelled_element",
    "used_variables",
    "without_extremes",
]
