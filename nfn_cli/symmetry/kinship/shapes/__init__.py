"""What networks of different widths, depths or vocabularies have in common, as two networks of one architecture."""

from nfn_cli.symmetry.kinship.shapes.common import common_part
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched

__all__ = ["CommonPart", "Unmatched", "common_part"]
