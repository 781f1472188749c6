"""The common part of two networks of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry.kinship.shapes.chain_depths import common_part_of_depths
from nfn_cli.symmetry.kinship.shapes.chains import common_part_of_chains
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


def common_part(reference: AnySource, source: AnySource, tracer: NetworkTracer | None = None) -> CommonPart | Unmatched:
    """Cut two networks of one kind to what both have: layers, hidden neurons, rows of the vocabulary.

    Args:
        reference, source: A and B, of different shapes.
        tracer: of the parts; one for many calls spares time. None for a new one.

    Returns:
        Two networks of one architecture; or why it is not known which parts correspond. Nothing is guessed.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    if isinstance(reference, Source) and isinstance(source, Source):
        depths = [len(own.network.weights.architecture.layers) for own in (reference, source)]
        return (common_part_of_chains if depths[0] == depths[1] else common_part_of_depths)(reference, source)
    if not isinstance(reference, Source) and not isinstance(source, Source):
        from nfn_cli.symmetry.kinship.shapes.decoders import common_part_of_decoders
        from nfn_cli.symmetry.kinship.shapes.residual import common_part_of_resnets, is_resnet

        tracer = tracer or NetworkTracer()
        if is_resnet(reference, tracer) and is_resnet(source, tracer):
            return common_part_of_resnets(reference, source, tracer)
        return common_part_of_decoders(reference, source, tracer)
    return Unmatched(f"one is read as {reference.reading.text}, the other as {source.reading.text}")
