"""Two networks compared along their orbits: the element that brings one to the other, and what is left.

>>> import torch
>>> from nfn_cli.architectures import Layer, NetworkWeights, chain
>>> from nfn_cli.symmetry import GroupElement, act
>>> mlp = chain([Layer("0", "linear", 1, 2), Layer("1", "linear", 2, 1)], activation="relu")
>>> values = ([[1.0], [-2.0]], [0.5, 1.0], [[3.0, 4.0]], [0.0])
>>> tensors = {spec.name: torch.tensor(value) for spec, value in zip(mlp.tensors, values, strict=True)}
>>> swap = GroupElement((torch.tensor([1, 0]),), (torch.tensor([2.0, 0.5]).double(),))
>>> transformed = act(swap, NetworkWeights(mlp, tensors))
>>> found = align(NetworkWeights(mlp, tensors), transformed)
>>> found.same_orbit, found.element.diagonals[0].tolist()
(True, [2.0, 0.5])
"""

from nfn_cli.symmetry.alignment.comparison import (
    Alignment,
    align,
    architecture_difference,
    orbit_tolerance,
    renamed,
)
from nfn_cli.symmetry.alignment.other_tensors import beside_residuals
from nfn_cli.symmetry.alignment.watch import Watch

__all__ = ["Alignment", "Watch", "align", "architecture_difference", "beside_residuals", "orbit_tolerance", "renamed"]
