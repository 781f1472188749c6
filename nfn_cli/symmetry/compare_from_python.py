"""`compare` for Python programs: of paths, state dicts and modules.

>>> from torch import nn
>>> from nfn_cli import canonicalize
>>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
>>> compare(model, canonicalize(model)).verdict
'same'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nfn_cli.architectures import Stated
from nfn_cli.errors import UsageError
from nfn_cli.python_words import python_words
from nfn_cli.symmetry.given import Network, assumed_of_two, read_two
from nfn_cli.symmetry.kinship import ComparedLayer, compare_networks
from nfn_cli.symmetry.kinship.words import in_words

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnyElement

_BASES = ("aligned", "exact")


@dataclass(frozen=True)
class Kinship:
    """What two networks A and B have to do with each other. True in an `if` where they are the same, or would be if one
    had not been rounded.

    Attributes:
        verdict: same, rounded, derived, independent, or unknown.
        cause: why, in words.
        read_as: what A was read as, of which the verdict speaks.
        assumed: what was taken for granted; None where nothing was.
        score: how alike the neurons of both are in what is each one's own: 1 for copies, about 0 for strangers; None
            where it was not needed, or there are none to compare.
        false_positive_rate: an upper bound of the share of networks trained apart that score so high; None where that
            is not known of networks of this kind.
        family, models: the networks that it was read off, and how many there are.
        log10_p: of the exact test of coordinates that were kept; None where it does not apply.
        deviation, tolerance: the largest one of an entry that is left, and what is rounding.
        rounded_to: the precision that one of them was rounded to.
        turned: kinds of gauges, such as rotations of a stream, that were fixed first; there is no element then.
        part: what was compared, where the two have different shapes; None where all was.
        before, after: ‖B − A‖ / ‖A‖ over all layers, as they lie and with B near to A; `after` is never the larger one.
        layers: each with its name in A, `before`, `changed` and `score`.
        element: g, with g·B near to A.
        text: all of it in one line.
    """

    verdict: str
    cause: str
    read_as: str
    assumed: str | None = None
    score: float | None = None
    false_positive_rate: float | None = None
    family: str | None = None
    models: int | None = None
    log10_p: float | None = None
    deviation: float | None = None
    tolerance: float | None = None
    rounded_to: str | None = None
    turned: tuple[str, ...] = ()
    part: str | None = None
    before: float | None = None
    after: float | None = None
    layers: tuple[ComparedLayer, ...] = field(default=(), repr=False)
    element: AnyElement | None = field(default=None, repr=False)
    text: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return self.verdict in ("same", "rounded")

    def __str__(self) -> str:
        return self.text if self.assumed is None else f"{self.text}; assumed: {self.assumed}"


def compare(
    a: Network,
    b: Network,
    *,
    basis: Literal["aligned", "exact"] = "aligned",
    activation: str | None = None,
    pool: str | None = None,
    omega_0: float | Sequence[float] | None = None,
    chain: bool = False,
    prefix: str | None = None,
    inputs: Any = None,
) -> Kinship:
    """Tell what two networks have to do with each other, as `nfn compare A B` does.

    Where one of them is a module, and the other's tensors are the module's name for name, both are read by it.

    Args:
        a, b: each a path, a state dict or a module.
        basis: `aligned` brings B near to A along its orbit first, `exact` compares the weights where they are.
        activation, pool, omega_0, chain, prefix, inputs: of both, as in `inspect`.

    Raises:
        CheckpointError, UsageError: as `inspect`; SciPy is needed and missing.
        ArchitectureError: as `inspect`; or what is stated is too little to compare them.
    """
    if basis not in _BASES:
        raise UsageError("basis", f"{basis!r} is no basis", "give aligned or exact")
    with python_words():
        stated = Stated.of(activation, pool, omega_0, chain, prefix)
        reference, source = read_two(a, b, stated, inputs, gauges=basis == "aligned")
        found = compare_networks(reference, source, basis=basis)
        assumed = [own for own in (assumed_of_two(reference, source), found.assumed) if own]
        return Kinship(
            verdict=found.verdict.value,
            cause=found.cause,
            read_as=reference.read_as,
            assumed="; ".join(assumed) or None,
            score=found.score,
            false_positive_rate=found.false_positive_rate,
            family=found.family,
            models=found.models,
            log10_p=found.log10_p,
            deviation=found.deviation,
            tolerance=found.tolerance,
            rounded_to=found.rounded_to,
            turned=found.turned,
            part=found.part,
            before=found.before,
            after=found.after,
            layers=found.layers,
            element=None if found.turned else found.element,
            text=in_words(found, reference.read_as),
        )
