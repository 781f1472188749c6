"""Networks on labels: see `spec` for how tensors are read, `group` for the group."""

from nfn_cli.architectures.labels.group import Block, Gauge, LabelledArchitecture, Solutions
from nfn_cli.architectures.labels.spec import NONE, LabelledTensor, Labels, Relations, Role, Stored, Use

__all__ = [
    "NONE",
    "Block",
    "Gauge",
    "LabelledArchitecture",
    "LabelledTensor",
    "Labels",
    "Relations",
    "Role",
    "Solutions",
    "Stored",
    "Use",
]
