"""Does a traced network compute the same after elements of its group? It is run, in float64, to see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures.traced import shapes_of
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry.labelled.element import Element
from nfn_cli.symmetry.labelled.moved import MovedTensors
from nfn_cli.symmetry.labelled.source import LabelledSource
from nfn_cli.symmetry.preservation import Check, compare, output_tolerance

LARGEST = 300_000_000  # numbers that are run, of eight bytes each


def check_traced(source: LabelledSource, elements: Iterable[Element], name: str) -> Check:
    """Run a network before and after each element; its weights are rounded to the file's dtype in between.

    Args:
        name: of what is compared.

    Raises:
        ArchitectureError: the network is too large to be run.
    """
    run = source.network.runner()
    tensors = source.checkpoint.tensors
    require_size(source)
    state = {own: _exact(tensors[own]) for own in tensors}
    before = run(state)
    # Each output counts by its own size: a value beside logits may be a thousand times smaller.
    sizes = [output.abs().max() if output.count_nonzero() and len(before) > 1 else 1.0 for output in before]

    def joined(outputs: Sequence[Tensor]) -> Tensor:
        return torch.cat([(output.double() / size).flatten() for output, size in zip(outputs, sizes, strict=True)])

    def after() -> Iterator[Tensor]:
        for element in elements:
            moved = MovedTensors(source.checkpoint.path, tensors, source.architecture, element)
            yield joined(run({**state, **{own: _exact(moved[own]) for own in moved}}))

    return compare(name, joined(before), after(), output_tolerance(source.precision))


def require_size(source: LabelledSource) -> None:
    """Refuse to run what takes more than some gigabytes.

    Raises:
        ArchitectureError: it does.
    """
    count = sum(math.prod(shape) for shape in shapes_of(source.checkpoint).values())
    if count > LARGEST:
        cause = f"{count:,} numbers are more than the {LARGEST:,} that are run in float64"
        raise ArchitectureError(source.checkpoint.path, cause, "compare two checkpoints: nfn verify A B")


def _exact(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
