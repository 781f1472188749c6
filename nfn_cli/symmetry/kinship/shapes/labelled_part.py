"""A part of a traced network's file, read as a network of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut, CutTensors
from nfn_cli.symmetry.kinship.shapes.part import Unmatched
from nfn_cli.symmetry.labelled.source import open_labelled

if TYPE_CHECKING:
    from nfn_cli.symmetry.labelled.source import LabelledSource


def read_labelled_part(
    source: LabelledSource, cuts: Mapping[str, Cut], config: Mapping[str, Any] | None, tracer: NetworkTracer
) -> LabelledSource | Unmatched:
    """The network of some of a file's tensors, by the module's names.

    Args:
        cuts: what is taken of the file's tensors.
        config: that of the part; None for a family that is told by names and shapes.
    """
    whole = source.checkpoint
    tensors = CutTensors(whole.tensors, cuts)
    checkpoint = Checkpoint(whole.path, "memory", tensors, {}, ordered=False, entry=whole.entry, files=whole.files)
    try:
        found = open_labelled(checkpoint, tracer, config=config)
    except ArchitectureError as error:
        return Unmatched(f"the common part is no network that can be read ({error.cause})")
    return Unmatched("the common part is no network of a known family") if found is None else found
