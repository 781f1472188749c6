"""`align` for Python programs: of paths, state dicts and modules.

>>> import torch
>>> from torch import nn
>>> from nfn_cli import canonicalize, verify
>>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
>>> torch.allclose(align(model, canonicalize(model))[0].weight, model[0].weight, atol=1e-5)
True
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.batch_statistics import reestimate, tracked_norms
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.errors import UsageError
from nfn_cli.python_words import python_words
from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.given import Network, StatedOptions, opened, read_two
from nfn_cli.symmetry.given_back import given_back
from nfn_cli.symmetry.interpolated import InterpolatedTensors
from nfn_cli.symmetry.sources import transformed_by
from nfn_cli.symmetry.statistics import estimated_statistics

if TYPE_CHECKING:
    from typing_extensions import Unpack


class _Options(StatedOptions, total=False):
    """Those of `align`."""

    scale: bool
    group: Literal["monomial", "full"]
    interpolate: float | None
    data: Tensor | None


@overload
def align(a: Network, b: nn.Module, **options: Unpack[_Options]) -> nn.Module: ...


@overload
def align(
    a: Network, b: str | os.PathLike[str] | Mapping[str, Tensor], **options: Unpack[_Options]
) -> dict[str, Tensor]: ...


def align(
    a: Network,
    b: Network,
    *,
    scale: bool = True,
    group: Literal["monomial", "full"] = "monomial",
    interpolate: float | None = None,
    data: Tensor | None = None,
    activation: str | None = None,
    pool: str | None = None,
    omega_0: float | Sequence[float] | None = None,
    chain: bool = False,
    prefix: str | None = None,
    inputs: Any = None,
) -> nn.Module | dict[str, Tensor]:
    """B moved along its own orbit, as near to A as descent finds, as `nfn align A B` does.

    Where one of them is a module, and the other's tensors are the module's name for name, both are read by it.

    Args:
        a, b: each a path, a state dict or a module.
        scale: whether scales, signs and phases are used beside permutations, which alone keep every bit.
        group: `full` also fixes the gauges of transformers: rotations of the stream, matrices of heads.
        interpolate: t from 0 to 1; gives (1 − t)·A + t·(B aligned) in place of B aligned. For relatives alone, such as
            fine-tunes of one base.
        data: inputs [count, *shape] on which running statistics of BatchNorms are estimated for that point; without
            them they are interpolated as well, and wrong in general.
        activation, pool, omega_0, chain, prefix, inputs: of both, as in `inspect`.

    Returns:
        For a module a new one, a deep copy with other numbers; otherwise a state dict; with B's names and dtypes. What
        is given is not changed.

    Raises:
        ArchitectureError: as `inspect`; or the two are of different architectures, or cannot be compared.
        CheckpointError, UsageError: as `inspect`.
    """
    if interpolate is not None and not 0 <= interpolate <= 1:
        raise UsageError("interpolate", f"{interpolate:g} is not between A and B", "give a number from 0 to 1")
    if data is not None and interpolate is None:
        raise UsageError("data", "B aligned has its own statistics", "give interpolate as well, or leave it out")
    if group not in ("monomial", "full"):
        raise UsageError("group", f"{group!r} is none", "give 'monomial' or 'full'")
    full = group == "full"
    if full and not scale:
        raise UsageError("scale", "a rotation is no permutation", "leave out one of the two")
    stated = Stated.of(activation, pool, omega_0, chain, prefix)
    with python_words():
        reference, source = read_two(a, b, stated, inputs, gauges=full)
        aligned = align_to(reference, source, scaled=scale, full=full)
        moved = transformed_by(aligned.acts_on(source), aligned.element)
        if interpolate is None:
            return given_back(b, source, moved)
        between = InterpolatedTensors(reference, source, moved, interpolate)
        if data is not None and not isinstance(b, nn.Module):
            tracer = opened(a, stated, inputs).tracer() if isinstance(a, nn.Module) else NetworkTracer()
            between.put(estimated_statistics(source, between, data, tracer, "data"))
        found = given_back(b, source, between)
        if data is not None and isinstance(found, nn.Module):
            _estimate(found, data)
        return found


def _estimate(module: nn.Module, data: Tensor) -> None:
    if not tracked_norms(module):
        raise UsageError("data", "the module has no BatchNorm whose statistics could be estimated", "leave it out")
    try:
        reestimate(module, data)
    except Exception as error:  # the module's methods are the user's code
        cause = f"the module does not run on them ({type(error).__name__}: {error})"
        raise UsageError("data", cause, "give inputs that it takes") from error
