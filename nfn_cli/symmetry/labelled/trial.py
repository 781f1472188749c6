"""Does a traced network compute the same after elements of its group? It is run, in float64, to see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures.labels import LabelledTensor
from nfn_cli.architectures.traced import dtypes_of, shapes_of
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry.labelled.element import Element
from nfn_cli.symmetry.labelled.proof import Proof, prove
from nfn_cli.symmetry.labelled.source import LabelledSource
from nfn_cli.symmetry.labelled.transformed import TransformedTensors
from nfn_cli.symmetry.labelled.variance_bounds import is_variance
from nfn_cli.symmetry.preservation import Check, compare_each, output_tolerance

LARGEST = 300_000_000  # numbers of a network that is run, eight bytes each


def check_traced(source: LabelledSource, elements: Iterable[Element], name: str) -> Check:
    """Run a network before and after each element has acted; the new weights are rounded to the file's dtype.

    Args:
        source: of a size that can be run, see `require_size`.
        name: for what is compared.
    """
    run = source.network.runner()
    tensors = source.checkpoint.tensors
    state = {own: _exact(tensors[own]) for own in tensors}
    before = run(state)

    def after() -> Iterator[Sequence[Tensor]]:
        for element in elements:
            transformed = TransformedTensors(source.checkpoint.path, tensors, source.architecture, element)
            yield run({**state, **{own: _exact(transformed[own]) for own in transformed}})

    return compare_each(name, before, after(), output_tolerance(source.precision))


def prove_traced(source: LabelledSource, *, seed: int = 0) -> Proof:
    """Run a network on random float64 weights before and after each part of its group.

    Raises:
        ArchitectureError: the network is too large to be run, or its outputs on random weights prove nothing.
    """
    require_size(source)
    try:
        return prove(source.architecture, source.network.runner(), random_state(source, seed), seed=seed)
    except ValueError as error:
        raise ArchitectureError(
            source.checkpoint.path, f"nothing is proven ({error})", "compare with --model"
        ) from error


def random_state(source: LabelledSource, seed: int) -> dict[str, Tensor]:
    """Random float64 weights of a network's shapes, so large that no output vanishes or overflows; variances > 0."""
    generator = torch.Generator().manual_seed(seed)
    variances = {name for tensor in source.architecture.tensors if _is_variance(tensor) for name in tensor.names}
    dtypes = dtypes_of(source.checkpoint)
    state = {}
    for name, shape in shapes_of(source.checkpoint).items():
        if not dtypes[name].is_floating_point:
            state[name] = source.checkpoint.tensors[name]
            continue
        numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
        if name in variances:
            numbers = numbers.abs() + 0.5
        elif len(shape) > 1:
            numbers /= math.sqrt(max(1, math.prod(shape[1:])))
        else:
            numbers = 1 + 0.3 * numbers
        state[name] = numbers
    for tensor in source.architecture.tensors:
        state.update({name: state[tensor.names[0]] for name in tensor.names[1:]})
    return state


def _is_variance(tensor: LabelledTensor) -> bool:
    return tensor.name.endswith("running_var") or any(is_variance(use) for use in tensor.uses)


def require_size(source: LabelledSource) -> None:
    """Refuse to run a network that takes more than a few gigabytes.

    Raises:
        ArchitectureError: it is too large.
    """
    count = sum(math.prod(shape) for shape in shapes_of(source.checkpoint).values())
    if count > LARGEST:
        cause = f"{count:,} numbers are more than the {LARGEST:,} that are run in float64"
        raise ArchitectureError(source.checkpoint.path, cause, "compare two checkpoints: nfn verify A B")


def _exact(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
