"""A family's group, traced from its reference module, acts on the real class of its library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families import ReferenceModule
from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry.labelled import act, bounded, sample

Answer = Callable[[nn.Module], list[Tensor]]


@dataclass(frozen=True)
class Moved:
    """What became of a network under a random element.

    Attributes:
        architecture: its labels.
        deviation: of its outputs, relative to the largest number of each; in float64.
        in_float32: the same, with weights, inputs and everything else in float32; None where it was not asked for.
        still: floating tensors with more than one number that the element left as they were.
    """

    architecture: LabelledArchitecture
    deviation: float
    in_float32: float | None
    still: frozenset[str]


def traced(found: ReferenceModule, device: str = "meta") -> LabelledArchitecture:
    """The group of a reference module, without weights on the meta device."""
    with torch.device(device):
        module = found.make().eval()
    args, kwargs = found.inputs(2, device)
    return trace(export(module, args, kwargs))


def moved(found: ReferenceModule, real: nn.Module, answer: Answer, *, also_float32: bool = False) -> Moved:
    """Moves a real module's weights by a random element of its reference module's group.

    Args:
        real: in float64, with random weights; they are put back.
        answer: the real module's outputs, on inputs of its weights' dtype.
    """
    architecture = traced(found)
    state = {name: tensor.clone() for name, tensor in real.state_dict().items()}
    drawn = sample(architecture, torch.Generator().manual_seed(1), scale_range=(0.5, 2.0))
    element = bounded(drawn, architecture, state)
    after = act(element, architecture, state)
    still = {
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and tensor.numel() > 1 and torch.equal(after.get(name, tensor), tensor)
    }
    in_float32 = None
    deviation = _deviation(real, answer, state, after)
    if also_float32:
        real.float()
        single = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        in_float32 = _deviation(real, answer, single, act(element, architecture, single))
        real.double()
    real.load_state_dict(state)
    return Moved(architecture, deviation, in_float32, frozenset(still))


def _deviation(real: nn.Module, answer: Answer, state: dict[str, Tensor], after: dict[str, Tensor]) -> float:
    found = []
    for weights in (state, {**state, **after}):
        real.load_state_dict(weights)
        with torch.no_grad():
            found.append([tensor.clone() for tensor in answer(real)])
    pairs = list(zip(*found, strict=True))
    assert pairs and all(one.std() > 1e-9 for one, _ in pairs)  # a network that has died would agree with any
    return max(float((one - other).abs().max() / one.abs().max()) for one, other in pairs)
