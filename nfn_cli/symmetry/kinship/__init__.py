"""Kinship: what two checkpoints have to do with each other."""

from nfn_cli.symmetry.kinship.comparing import compare_networks
from nfn_cli.symmetry.kinship.null import family_of
from nfn_cli.symmetry.kinship.verdict import ComparedLayer, Comparison, Verdict

__all__ = ["ComparedLayer", "Comparison", "Verdict", "compare_networks", "family_of"]
