"""Does a network compute the same after elements of its group have acted on it?

>>> import torch
>>> compare("outputs", torch.tensor([2.0]), [torch.tensor([2.5])], tolerance=0.1).passed
False
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, functional_forward
from nfn_cli.errors import UsageError
from nfn_cli.symmetry.action import act
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.threads import by_weights

# Of outputs: many layers enlarge the rounding of each weight.
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 0.2}
USUAL_INPUTS = 16
_LARGEST_SIDE = 256


@dataclass(frozen=True)
class Check:
    """One comparison of values that have to stay the same.

    Attributes:
        name: what was compared.
        samples: how many elements acted.
        deviation: the largest difference, relative to the largest value before; infinite where a value is NaN.
        tolerance: the deviation that still counts as rounding.
    """

    name: str
    samples: int
    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the values stayed the same but for rounding."""
        return self.deviation <= self.tolerance


def output_tolerance(dtype: torch.dtype) -> float:
    """The deviation of outputs that rounding of weights to a dtype explains."""
    return _TOLERANCES.get(dtype, 0.2)


def relative_change(before: Tensor, after: Tensor) -> float:
    """max |after − before| / max |before|; infinite where a value is NaN."""
    before = before.double()
    difference = (after.double() - before).abs().max()
    relative = difference if difference == 0 else difference / before.abs().max()
    return relative.nan_to_num(math.inf).item()


def compare(name: str, before: Tensor, after: Iterable[Tensor], tolerance: float) -> Check:
    """Measure how much values have changed."""
    largest, samples = 0.0, 0
    for values in after:
        largest = max(largest, relative_change(before, values))
        samples += 1
    return Check(name, samples, largest, tolerance)


def compare_each(name: str, before: Sequence[Tensor], after: Iterable[Sequence[Tensor]], tolerance: float) -> Check:
    """As `compare`, of several outputs, each relative to its own size: one of them may be a thousand times smaller
    than the others, such as a value beside logits."""
    sizes = [output.abs().max() if output.count_nonzero() and len(before) > 1 else 1.0 for output in before]

    def joined(outputs: Sequence[Tensor]) -> Tensor:
        return torch.cat([(output.double() / size).flatten() for output, size in zip(outputs, sizes, strict=True)])

    return compare(name, joined(before), map(joined, after), tolerance)


@by_weights
def check_outputs(
    point: NetworkWeights,
    elements: Iterable[GroupElement],
    inputs: Tensor,
    chain: Architecture | None = None,
    *,
    padded: bool = False,
) -> Check:
    """Run a chain, without strides, before and after each element; all in float64.

    Args:
        inputs: float64 [batch, channels, *space] or [batch, features].
        chain: which of the architecture's chains to run; the only one by default.
        padded: whether convolutions are padded so that they keep their input's size; otherwise they are not padded.

    Raises:
        UsageError: the inputs do not fit.
    """
    exact = NetworkWeights(point.architecture, {name: tensor.double() for name, tensor in point.tensors.items()})
    chain = chain or point.architecture

    def run(network: NetworkWeights) -> Tensor:
        return functional_forward(NetworkWeights(chain, network.tensors), inputs, padding=None if padded else 0)

    try:
        before = run(exact)
    except (RuntimeError, ValueError) as error:
        shape = ",".join(map(str, inputs.shape[1:]))
        raise UsageError("--input-shape", f"inputs of {shape} do not fit ({error})", "give another shape") from error
    after = (run(act(element, exact)) for element in elements)
    several = chain is not point.architecture
    name = f"outputs of {' → '.join(layer.name for layer in chain.layers)}" if several else "outputs"
    return compare(name, before, after, output_tolerance(torch.float64))


def random_inputs(shape: Sequence[int], generator: torch.Generator, count: int = USUAL_INPUTS) -> Tensor:
    """Standard normal inputs, float64 [count, *shape]."""
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


def fitting_shape(architecture: Architecture) -> tuple[int, ...]:
    """A shape of inputs that fits a network's layers without pooling: channels and equal sides, or features.

    If no size fits the flatten, or the flatten has a single position, a pooling before it is assumed, and the shape
    leaves some positions for it.
    """
    first = architecture.layers[0]
    if first.kind != "conv":
        return (first.in_features,)
    shrinks = [0] * len(first.kernel)
    spatial = 1
    for layer in architecture.layers:
        if layer.kind != "conv" or len(layer.kernel) != len(first.kernel):
            spatial = layer.spatial
            break
        shrinks = [shrink + size - 1 for shrink, size in zip(shrinks, layer.kernel, strict=True)]
    for side in range(max(shrinks) + 1, _LARGEST_SIDE if spatial > 1 else 0):
        if math.prod(side - shrink for shrink in shrinks) == spatial:
            return (first.in_features, *[side] * len(shrinks))
    positions = math.ceil(spatial ** (1 / len(shrinks)))
    return (first.in_features, *[max(shrinks) + positions + 3] * len(shrinks))
