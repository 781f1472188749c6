"""Two networks on labels compared along their orbits: the element that brings one to the other, and what is left.

>>> import torch
>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.symmetry.labelled import act, label_chain, sample
>>> mlp = label_chain(chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="relu"))
>>> generator = torch.Generator().manual_seed(0)
>>> point = {tensor.name: torch.randn(tensor.shape, generator=generator).double() for tensor in mlp.tensors}
>>> align(mlp, point, act(sample(mlp, generator), mlp, point)).same_orbit
True
"""

from nfn_cli.symmetry.labelled.alignment.comparison import LabelledAlignment, align
from nfn_cli.symmetry.labelled.alignment.residuals import beside_residuals, residuals

__all__ = ["LabelledAlignment", "align", "beside_residuals", "residuals"]
