"""`inspect`, `canonicalize` and `verify` for Python programs: of paths, state dicts and modules.

>>> import torch
>>> from torch import nn
>>> torch.manual_seed(0)  # doctest: +ELLIPSIS
<torch._C.Generator object at ...>
>>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
>>> inspect(model).symmetries
('0: 8 neurons, G_8^{>0}',)
>>> verify(model, canonicalize(model)).same
True
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import shapes_of
from nfn_cli.errors import DifferentError, UsageError
from nfn_cli.python_words import python_words
from nfn_cli.symmetry.alignment.residuals import Residual
from nfn_cli.symmetry.any_form import find_form
from nfn_cli.symmetry.comparing import compare_sources
from nfn_cli.symmetry.given import Network, StatedOptions, assumed_of_two, opened, read_given, read_two
from nfn_cli.symmetry.given_back import given_back
from nfn_cli.symmetry.inspection import Inspection, inspect_network
from nfn_cli.symmetry.normal_form import NormalFormSettings
from nfn_cli.symmetry.sources import read_to_inspect, transformed_by

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from nfn_cli.symmetry.labelled.inspection import BlockFacts, LabelledInspection
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnyElement


class _Options(StatedOptions, total=False):
    """Those of `canonicalize`."""

    scale: Literal["unit", "balanced", "none"]
    sign: bool
    permute: bool


@dataclass(frozen=True)
class Description:
    """What a network is, and which symmetries it has.

    Attributes:
        network: its path; of one in memory, what it is called.
        read_as: what it was read as, such as `conv1 → conv2 → fc, relu`.
        assumed: what was taken for granted; None where nothing was.
        parameters: numbers in its layers, or in all tensors of what is no chain; None where shapes are not known.
        symmetries: one line for each set of neurons that move together.
        orbit_dimension: continuous scalings, each of which moves the weights its own way.
        left: names of tensors beside what the group moves, of a chain.
        details: all facts: an `Inspection` of a chain, a `LabelledInspection` of what was traced.
    """

    network: str
    read_as: str
    assumed: str | None
    parameters: int | None
    symmetries: tuple[str, ...]
    orbit_dimension: int
    left: tuple[str, ...]
    details: Inspection | LabelledInspection = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{self.network}: {self.read_as}"]
        lines += [f"  {symmetry}" for symmetry in self.symmetries]
        lines.append(f"  orbit of dimension {self.orbit_dimension:,}")
        return "\n".join(lines if self.assumed is None else [*lines, f"  assumed: {self.assumed}"])


@dataclass(frozen=True)
class Verdict:
    """Whether B is A up to an element of the group. A verdict is true in an `if` where they are the same function.

    Attributes:
        same: whether an element of the group brings A to B but for rounding.
        read_as: what A was read as, of which the verdict speaks.
        assumed: what was taken for granted of A, and of B where that is something else; None where nothing was.
        reason: why no element can, where the two are of different kinds; then nothing was compared.
        deviation: of the best element, the largest of one entry, relative to its size; None where nothing was compared.
        layer: where that is.
        tolerance: the deviation that rounding explains.
        residuals: what is left of every layer.
        element: g, with g·A next to B.
    """

    same: bool
    read_as: str
    assumed: str | None = None
    reason: str | None = None
    deviation: float | None = None
    layer: str | None = None
    tolerance: float | None = None
    residuals: tuple[Residual, ...] = field(default=(), repr=False)
    element: AnyElement | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.same

    def __str__(self) -> str:
        text = f"{'same function' if self.same else 'not the same orbit'}, as {self.read_as}"
        if self.reason is not None:
            text += f" ({self.reason})"
        if self.deviation is not None:
            place = f", in {self.layer}" if self.layer else ""
            text += f" (largest deviation {self.deviation:.1e}{place}; tolerance {self.tolerance:.0e})"
        return text if self.assumed is None else f"{text}; assumed: {self.assumed}"


def inspect(
    network: Network,
    *,
    activation: str | None = None,
    pool: str | None = None,
    omega_0: float | Sequence[float] | None = None,
    chain: bool = False,
    prefix: str | None = None,
    inputs: Any = None,
) -> Description:
    """Describe a network and its symmetries, as `nfn inspect` does.

    Args:
        network: a path, a state dict (tensors by name), or a module, which is traced and not changed.
        activation, pool: names, where the network does not show them; a module does.
        omega_0: frequency of sines sin(ω₀ z), one for all layers or one a layer but the last.
        chain: the layers of a file or state dict are one plain chain, whatever else they may seem to be.
        prefix: of the names of one network's tensors, where a file or state dict holds several.
        inputs: of one forward pass of a module (a tensor, a tuple, a dict, or a tuple and a dict), where inputs for its
            first layer do not fit.

    Raises:
        CheckpointError: the file cannot be read, or its tensors are no finite weights.
        ArchitectureError: nothing is known of such a network, or the module cannot be traced.
        UsageError: it is no network, or what is stated does not fit it.
    """
    with python_words():
        given = opened(network, Stated.of(activation, pool, omega_0, chain, prefix), inputs)
        found = read_to_inspect(given.where, given.stated, given.tracer(gauges=True))
        return _of_chain(inspect_network(*found)) if isinstance(found, tuple) else _of_traced(found)


@overload
def canonicalize(network: nn.Module, **options: Unpack[_Options]) -> nn.Module: ...


@overload
def canonicalize(
    network: str | os.PathLike[str] | Mapping[str, Tensor], **options: Unpack[_Options]
) -> dict[str, Tensor]: ...


def canonicalize(
    network: Network,
    *,
    scale: Literal["unit", "balanced", "none"] = "unit",
    sign: bool = True,
    permute: bool = True,
    activation: str | None = None,
    pool: str | None = None,
    omega_0: float | Sequence[float] | None = None,
    chain: bool = False,
    prefix: str | None = None,
    inputs: Any = None,
) -> nn.Module | dict[str, Tensor]:
    """The normal form of a network: the same function, and the same weights for its whole orbit, as `nfn canonicalize`.

    Args:
        network, activation, pool, omega_0, chain, prefix, inputs: as in `inspect`.
        scale: unit (incoming norms of 1), balanced (least sum of squares; of chains only), or none.
        sign, permute: whether signs, phases of sines, and the order of neurons are settled, too.

    Returns:
        For a module a new one, a deep copy with other numbers; otherwise a state dict, with the names, dtypes and
        devices of the given one. What is given is not changed, and shares no memory with what is returned.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `inspect`; the network has no normal form, or its numbers
            would leave the range of their dtype.
    """
    if scale not in ("unit", "balanced", "none"):
        raise UsageError("scale", f"{scale!r} is no normal scale", "give unit, balanced or none")
    with python_words():
        source = read_given(opened(network, Stated.of(activation, pool, omega_0, chain, prefix), inputs))
        element, _ = find_form(source, NormalFormSettings(scale, sign, permute))
        return given_back(network, source, transformed_by(source, element))


def verify(
    a: Network,
    b: Network,
    *,
    activation: str | None = None,
    pool: str | None = None,
    omega_0: float | Sequence[float] | None = None,
    chain: bool = False,
    prefix: str | None = None,
    inputs: Any = None,
) -> Verdict:
    """Test whether B is A up to an element of the group, as `nfn verify A B` does.

    Where one of them is a module, and the other's tensors are the module's name for name, both are read by it.

    Args:
        a, b: each a path, a state dict or a module.
        activation, pool, omega_0, chain, prefix, inputs: of both, as in `inspect`.

    Returns:
        A verdict, also where the two are of different kinds, so that no element can bring one to the other.

    Raises:
        CheckpointError, UsageError: as `inspect`.
        ArchitectureError: as `inspect`; or what is stated is too little to compare them.
    """
    with python_words():
        source, target = read_two(a, b, Stated.of(activation, pool, omega_0, chain, prefix), inputs)
        read_as, assumed = source.read_as, assumed_of_two(source, target)
        try:
            found = compare_sources(source, target)
        except DifferentError as error:
            return Verdict(False, read_as, assumed, error.cause.removeprefix("not the same orbit: "))
    worst = max(found.residuals, key=lambda left: left.deviation, default=None)
    return Verdict(
        found.same_orbit,
        read_as,
        assumed,
        deviation=found.deviation,
        layer=None if worst is None else worst.layer,
        tolerance=found.tolerance,
        residuals=found.residuals,
        element=found.element,
    )


def _of_chain(facts: Inspection) -> Description:
    return Description(
        network=facts.path,
        read_as=facts.read_as if facts.activation is None else f"{facts.read_as}, {facts.activation}",
        assumed=facts.assumed,
        parameters=facts.parameters,
        symmetries=tuple(
            f"{layer.name}: {layer.group.size} neurons, {layer.group.symbol}"
            for layer in facts.layers
            if layer.group is not None
        ),
        orbit_dimension=facts.orbit_dimension,
        left=facts.left,
        details=facts,
    )


def _of_traced(source: LabelledSource) -> Description:
    from nfn_cli.symmetry.labelled.inspection import inspect_labelled

    facts = inspect_labelled(source.architecture, shapes_of(source.checkpoint))
    return Description(
        network=str(source.checkpoint.path),
        read_as=source.reading.text,
        assumed=source.reading.assumed,
        parameters=facts.parameters,
        symmetries=tuple(_block(block) for block in facts.rows),
        orbit_dimension=facts.orbit_dimension,
        left=source.reading.left,
        details=facts,
    )


def _block(block: BlockFacts) -> str:
    parts = [f"{block.n} {block.kind}", block.group]
    parts += [f"{block.times} times"] if block.times > 1 else []
    parts += [f"{count} {what}" for count, what in ((block.scales, "scales"), (block.signs, "signs")) if count]
    return f"{block.name}: {', '.join(parts)}"
