"""An editor of implicit neural representations that is made of equivariant layers (arXiv 2409.11697, after Zhou et al.
2023, arXiv 2302.14040): one forward pass from weights to what is added to them, without a look at the picture."""

from __future__ import annotations

from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn.inr.sine_chain import read_tensors, require_sine_picture
from nfn_cli.nn.sine import MonomialEditor, MonomialEditorSizes


class WeightEditor(MonomialEditor):
    """A `MonomialEditor` of pictures, as a member of the table of kinds; it has no use for their size.

    Raises:
        HeadError: an architecture that is no picture in a sine network.
    """

    def __init__(self, architecture: Architecture, picture: tuple[int, int], sizes: MonomialEditorSizes) -> None:
        require_sine_picture(architecture)
        super().__init__(architecture, sizes)

    def read(self, point: NetworkWeights) -> list[Tensor]:
        """What `forward` takes of a batch of networks, in this module's dtype and on its device."""
        own = self.sizes_of_changes[0]
        return read_tensors(point, own.dtype, own.device)
