"""What one would otherwise predict a network's accuracy with. ScaleGMN and ProbeGen alone are invariant to scalings or
signs.

Each reader of weight space gives tensors with the batch first, and the module next to it turns them into logits; both
together stand in for a Monomial-NFN and its fields, so that one training loop serves all (`nfn_cli.learning.Member`).

>>> import torch
>>> from nfn_cli.architectures import Layer, NetworkWeights, chain
>>> from nfn_cli.nn.baselines import VectorMLP, read_weights
>>> mlp = chain([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 3)], activation="tanh")
>>> point = NetworkWeights(mlp, {spec.name: torch.randn(5, *spec.shape) for spec in mlp.tensors})
>>> inputs = read_weights(point)
>>> VectorMLP(inputs[0].shape[1], hidden=16)(inputs).shape
torch.Size([5])
"""

from nfn_cli.nn.baselines.boosted_trees import BoostedTrees
from nfn_cli.nn.baselines.flat_weights import read_weights
from nfn_cli.nn.baselines.paper_monomial_nfn import PaperMonomialNFN
from nfn_cli.nn.baselines.permutation_nfn import FourierFeatures, PermutationNFN, read_tensors
from nfn_cli.nn.baselines.probe_gen import ProbeGen
from nfn_cli.nn.baselines.scale_gmn import ScaleGMN
from nfn_cli.nn.baselines.statistics import read_statistics
from nfn_cli.nn.baselines.vector_mlp import VectorMLP

__all__ = [
    "BoostedTrees",
    "FourierFeatures",
    "PaperMonomialNFN",
    "PermutationNFN",
    "ProbeGen",
    "ScaleGMN",
    "VectorMLP",
    "read_statistics",
    "read_tensors",
    "read_weights",
]
