"""Does a layer commute with the group, or a function not see it? Tests for layers of your own, as e3nn has them.

>>> import torch
>>> from torch import nn
>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.nn import Layout, MonomialInvariant, MonomialLinear, assert_equivariant, assert_invariant
>>> mlp = chain([Layer("0", "linear", 2, 4), Layer("1", "linear", 4, 3)], activation="relu")
>>> layout = Layout.of(mlp)
>>> features = [field.features for field in layout.fields]
>>> assert_equivariant(MonomialLinear(layout, features, [5, 5, 5]), mlp)
>>> assert_invariant(MonomialInvariant(layout, features, 5), mlp)
>>> assert_equivariant(lambda fields: [values + 1 for values in fields], mlp)  # doctest: +ELLIPSIS
Traceback (most recent call last):
    ...
AssertionError: not equivariant: deviation ..., more than 1e-09, in the field of 0.weight, 0.bias, under this element
  0: permutations [...], diagonals [...]
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn.labelled.cases import labelled_cases
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.layout import Layout, charges
from nfn_cli.nn.unit_fields import read_fields
from nfn_cli.symmetry import GroupElement, act, sample_element

On = Literal["fields", "weights"]
_SHOWN = 8  # entries of a permutation or diagonal in a message


def assert_equivariant(
    layer: Callable[[Any], Any],
    architecture: Architecture | LabelledLayout,
    *,
    on: On = "fields",
    samples: int = 4,
    networks: int = 2,
    tolerance: float = 1e-9,
    scale_range: tuple[float, float] = (0.1, 10.0),
    phase: bool = False,
    generator: torch.Generator | None = None,
) -> None:
    """Check f(g·U) = g·f(U) for random networks U and elements g of an architecture's group.

    g⁻¹·f(g·U) is compared with f(U), field by field, relative to the largest entry of the field.

    Args:
        layer: f. On fields, a function of a list of fields [networks, neurons..., features], with the features of
            `Layout.of(architecture)`, to such a list with any features. On weights, one of `NetworkWeights` with
            tensors [networks, *shape] to such weights. A copy of a module is taken, in evaluation mode and float64.
        architecture: a chain, or the `LabelledLayout` of any other network: fields are its fields then, and weights
            state dicts of tensors [networks, *shape].
        on: fields or weights.
        samples: elements, each with networks of its own.
        networks: in the batch.
        tolerance: the deviation that rounding may make.
        scale_range: lowest and highest scale of an element, where the group has scalings.
        phase: on weights of a chain, shift the phases of sines by half-turns, too.
        generator: draws elements and networks; by default one of seed 0.

    Raises:
        AssertionError: with the largest deviation, where it is, and the element; or if all outputs are zero.
        HeadError: on fields, the architecture has none.
    """
    layer = _exact(layer)
    if not isinstance(architecture, Architecture):
        for case in labelled_cases(architecture, on, samples, networks, scale_range, generator):
            before, after = layer(case.point), case.back(layer(case.moved))
            _compare("not equivariant", case.named(before), case.named(after), tolerance, case.lines)
        return
    layout = Layout.of(architecture) if on == "fields" else None
    specs = architecture.tensors
    for element, point in _drawn(architecture, samples, networks, scale_range, phase, generator):
        transformed, back = act(element, point), element.inverse()
        if layout is None:
            found = layer(point), act(back, layer(transformed))
            before, after = ({spec.name: own.tensors[spec.name] for spec in specs} for own in found)
        else:
            names = [f"the field of {', '.join(specs[i].name for i in field.tensors)}" for field in layout.fields]
            outputs = act_on_fields(back, layer(layout.pack(transformed)), layout, architecture)
            before = dict(zip(names, layer(layout.pack(point)), strict=True))
            after = dict(zip(names, outputs, strict=True))
        _compare("not equivariant", before, after, tolerance, partial(_lines, element, architecture))


def assert_invariant(
    function: Callable[[Any], Any],
    architecture: Architecture | LabelledLayout,
    *,
    on: On = "fields",
    samples: int = 4,
    networks: int = 2,
    tolerance: float = 1e-9,
    scale_range: tuple[float, float] = (0.1, 10.0),
    phase: bool = False,
    generator: torch.Generator | None = None,
) -> None:
    """Check f(g·U) = f(U) for random networks U and elements g of an architecture's group.

    Args:
        function: f, with a tensor [networks, ...] or several of them. On fields, of what `read_fields` gives, which are
            of unit norm under scalings; on weights, of `NetworkWeights`. A copy of a module is taken, in evaluation
            mode and float64.
        on, samples, networks, tolerance, scale_range, phase, generator: as in `assert_equivariant`.

    Raises:
        AssertionError: with the largest deviation and the element; or if all outputs are zero.
        HeadError: on fields, the architecture has none.
    """
    function = _exact(function)

    def outputs(found: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
        named = enumerate([found] if isinstance(found, Tensor) else found)
        return {f"output {number}": values for number, values in named}

    if not isinstance(architecture, Architecture):
        for case in labelled_cases(architecture, on, samples, networks, scale_range, generator):
            before, after = outputs(function(case.point)), outputs(function(case.moved))
            _compare("not invariant", before, after, tolerance, case.lines)
        return
    layout = Layout.of(architecture) if on == "fields" else None

    def read(point: NetworkWeights) -> Any:
        return point if layout is None else read_fields(layout, point, dtype=torch.float64)

    for element, point in _drawn(architecture, samples, networks, scale_range, phase, generator):
        before, after = outputs(function(read(point))), outputs(function(read(act(element, point))))
        _compare("not invariant", before, after, tolerance, partial(_lines, element, architecture))


def act_on_fields(
    element: GroupElement, fields: Sequence[Tensor], layout: Layout, architecture: Architecture
) -> list[Tensor]:
    """g on fields [batch, neurons..., features] with any number of features: permute neurons, scale their entries.

    >>> from nfn_cli.architectures import Layer, chain
    >>> mlp = chain([Layer("0", "linear", 1, 2), Layer("1", "linear", 2, 1)], activation="relu")
    >>> g = GroupElement((torch.tensor([1, 0]),), (torch.tensor([2.0, 4.0], dtype=torch.float64),))
    >>> first, last, bias = act_on_fields(g, [torch.ones(1, 2, 1), torch.ones(1, 2, 1), torch.ones(1, 1)],
    ...                                   Layout.of(mlp), mlp)
    >>> first.flatten().tolist(), last.flatten().tolist(), bias.flatten().tolist()
    ([2.0, 4.0], [0.5, 0.25], [1.0])

    Args:
        element: without batch axes and without half-turns of phase.
    """
    transformed = []
    for field, values in zip(layout.fields, fields, strict=True):
        spec = architecture.tensors[field.tensors[0]]
        for axis, (group, power) in enumerate(charges(spec, layout.kind), start=1):
            factors = element.diagonals[group].to(values.dtype) ** power
            values = values.index_select(axis, element.permutations[group])
            values = values * factors.reshape(-1, *[1] * (values.ndim - axis - 1))
        transformed.append(values)
    return transformed


def _exact(layer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return copy.deepcopy(layer).double().eval() if isinstance(layer, nn.Module) else layer


def _drawn(
    architecture: Architecture,
    samples: int,
    networks: int,
    scale_range: tuple[float, float],
    phase: bool,
    generator: torch.Generator | None,
) -> Iterator[tuple[GroupElement, NetworkWeights]]:
    generator = generator or torch.Generator().manual_seed(0)
    for _ in range(samples):
        element = sample_element(architecture, generator, scale_range=scale_range, phase=phase)
        tensors = {
            spec.name: torch.randn(networks, *spec.shape, generator=generator, dtype=torch.float64)
            for spec in architecture.tensors
        }
        yield element, NetworkWeights(architecture, tensors)


def _compare(
    what: str,
    before: Mapping[str, Tensor],
    after: Mapping[str, Tensor],
    tolerance: float,
    lines: Callable[[], Iterable[str]],
) -> None:
    if not any(bool(values.any()) for values in before.values()):
        raise AssertionError("all outputs are zero, which proves nothing")
    deviations = {name: _deviation(after[name], values) for name, values in before.items()}
    worst = max(deviations, key=deviations.__getitem__)
    if deviations[worst] > tolerance:
        deviation = f"deviation {deviations[worst]:.1e}, more than {tolerance:.0e}, in {worst}"
        raise AssertionError("\n".join([f"{what}: {deviation}, under this element", *lines()]))


def _deviation(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, relative to the largest entry; infinite where something is not finite."""
    if not ours.numel():
        return 0.0
    size = theirs.abs().max().item()
    found = (ours - theirs).abs().max().item() / (size or 1.0)
    return found if math.isfinite(found) else math.inf


def _lines(element: GroupElement, architecture: Architecture) -> Iterator[str]:
    for number, group in enumerate(architecture.groups):
        parts = [(part.name, getattr(element, part.name)[number]) for part in dataclasses.fields(element)]
        shown = [f"{name} {_few(values.tolist())}" for name, values in parts if bool(values.any())]
        yield f"  {group.name}: {', '.join(shown)}"


def _few(values: Sequence[float]) -> str:
    shown = ", ".join(f"{value:.4g}" for value in values[:_SHOWN])
    return f"[{shown}, ...]" if len(values) > _SHOWN else f"[{shown}]"
