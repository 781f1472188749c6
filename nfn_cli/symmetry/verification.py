"""Whether two checkpoints hold one network, and whether one computes the same along its orbit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nfn_cli.errors import ArchitectureError, CheckpointError, UsageError
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from nfn_cli.architectures import Architecture, NetworkWeights, Told
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.architectures.tracing.inputs import Example
    from nfn_cli.architectures.tracing.user_model import UserModel
    from nfn_cli.symmetry import Alignment, Check, GroupElement, Source, Trial
    from nfn_cli.symmetry.labelled.alignment import LabelledAlignment
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnySource

Item = TypeVar("Item")

_SCALES = (0.1, 10.0)
_SAMPLES = 8


@dataclass(frozen=True)
class Reader:
    """What reads a network, such as a head, and has to say the same of its whole orbit.

    Attributes:
        says: of a batch of networks, numbers.
        phases: whether it knows the phases of sines.
    """

    name: str
    says: Callable[[NetworkWeights], Tensor]
    phases: bool


def require_there(*paths: Path) -> None:
    """Refuse files that are missing before anything else is said of the others.

    Raises:
        CheckpointError: one is not there.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise CheckpointError(path, "no such file", "check the path and its permissions")


def compare_checkpoints(source: Source, target: Source, watch: Watch = UNWATCHED) -> Alignment[GroupElement]:
    """Find the element that brings one checkpoint's network to the other's, by the coarser of their dtypes.

    What they hold beside their layers has residuals of its own: it has to be the same.

    Raises:
        DifferentError: no element can.
        ArchitectureError: what the files do not tell may be why none can.
        UsageError: SciPy is needed and missing.
    """
    import torch

    from nfn_cli.symmetry import align, architecture_difference, beside_residuals

    ours, theirs = source.network.weights, target.network.weights
    difference = architecture_difference(ours.architecture, theirs.architecture)
    if difference is not None:
        remedy = f"compare it with a checkpoint of its own kind, not {source.checkpoint.path}"
        raise difference.error(target.checkpoint.path, remedy)
    beside = beside_residuals(target.checkpoint.path, source.beside, target.beside)
    coarsest = max(source.precision, target.precision, key=lambda dtype: torch.finfo(dtype).eps)
    found = align(ours, theirs, coarsest, watch=watch)
    permuted = None if found.permuted is None else (*found.permuted, *beside)
    return replace(found, residuals=(*found.residuals, *beside), permuted=permuted)


def compare_any(
    source: AnySource, target: AnySource, watch: Watch = UNWATCHED
) -> Alignment[GroupElement] | LabelledAlignment:
    """As `compare_checkpoints`, whichever way the two were read.

    Raises:
        DifferentError, ArchitectureError, UsageError: as there.
    """
    from nfn_cli.symmetry import Source

    if isinstance(source, Source) and isinstance(target, Source):
        return compare_checkpoints(source, target, watch)
    from nfn_cli.symmetry.labelled.compared import align_sources
    from nfn_cli.symmetry.sources import difference

    different = difference(source, target)
    if different is not None:
        raise different
    assert not isinstance(source, Source) and not isinstance(target, Source)
    return align_sources(source, target, watch=watch)


def read_alone(path: Path, told: Told, tracer: NetworkTracer) -> AnySource:
    """A checkpoint that is held against its own orbit: a chain where it can be read as one, also beside a module.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `read_any`.
    """
    from nfn_cli.symmetry import read_source
    from nfn_cli.symmetry.sources import read_any

    if tracer.model is not None:
        try:
            return read_source(path, told)
        except ArchitectureError:
            pass
    return read_any(path, told, tracer)


def check_traced_orbit(
    source: LabelledSource, *, samples: int | None = None, seed: int, watch: Watch = UNWATCHED
) -> list[Check]:
    """Move a traced network by random elements and run it: its outputs must stay.

    Raises:
        ArchitectureError: it is too large to be run.
    """
    import torch

    from nfn_cli.symmetry.labelled import bounded, sample
    from nfn_cli.symmetry.labelled.trial import check_traced, require_size

    require_size(source)
    generator = torch.Generator().manual_seed(seed)
    tensors = source.checkpoint.tensors
    drawn = [
        bounded(sample(source.architecture, generator, scale_range=_SCALES), source.architecture, tensors)
        for _ in range(samples or _SAMPLES)
    ]
    return [check_traced(source, _each(watch, "outputs", drawn), "outputs")]


def check_orbit(
    source: Source,
    *,
    samples: int | None = None,
    seed: int,
    reader: Reader | None = None,
    shape: tuple[int, ...] | None = None,
    model: str | None = None,
    watch: Watch = UNWATCHED,
    on_note: Callable[[str], None] = lambda note: None,
) -> list[Check]:
    """Act on a checkpoint by random elements; its outputs must stay, and what a reader says of it.

    Args:
        samples: elements; by default eight, or fewer where the network is large.
        reader: reads the network, and has to say the same as well.
        shape: of one input; by default one that fits.
        model: `file.py:factory` or `module:factory` of the module to run; by default the chain itself, without strides
            and padding.
        on_note: told what was taken, where that is less than usual.

    Raises:
        UsageError: inputs of this shape do not fit, or the module is unusable.
    """
    import torch

    from nfn_cli.architectures import stack
    from nfn_cli.symmetry import act, compare, output_tolerance, sample_element

    generator = torch.Generator().manual_seed(seed)
    point = source.network.weights
    if model is None and shape is not None and len(point.architecture.chains) > 1:
        raise UsageError(
            "--input-shape", "the network is read as several chains", "leave it out, or name one (--prefix)"
        )
    chains, trials = _planned(point.architecture, samples, shape, several=model is None)
    taken = min((trial.samples for trial in trials), default=samples or _SAMPLES)
    if note := _note(chains, trials, samples, taken):
        on_note(note)

    def elements(phase: bool) -> list[GroupElement]:
        return [sample_element(source.stored, generator, scale_range=_SCALES, phase=phase) for _ in range(taken)]

    if model is None:
        checks = _check_chains(source, elements(True), chains, trials, generator, watch)
    else:
        checks = [_check_model(source, elements(True), shape, trials[0], model, generator, watch)]
    if reader is not None:
        # A head computes in float32, and one that predicts accuracies knows nothing of phases.
        chosen = _each(watch, f"prediction of {reader.name}", elements(reader.phases))
        before = reader.says(stack([point]))
        after = (reader.says(stack([act(element, point)])) for element in chosen)
        checks.append(compare(f"prediction of {reader.name}", before, after, output_tolerance(torch.float32)))
    return checks


def _planned(
    architecture: Architecture, samples: int | None, shape: tuple[int, ...] | None, *, several: bool
) -> tuple[list[Architecture], list[Trial]]:
    """The chains to run, and what each is run on; one of them, the first, unless there may be several."""
    from nfn_cli.symmetry import plan_trial

    moved = [chain for chain in architecture.chains if chain.groups]
    if len(architecture.chains) == 1 or (not moved and not several):
        moved = [architecture]
    chains = moved if several else moved[:1]
    wanted = samples or _SAMPLES
    return chains, [
        plan_trial(chain, samples=wanted, given_shape=shape, fixed_samples=samples is not None, share=1 / len(chains))
        for chain in chains
    ]


def _note(chains: Sequence[Architecture], trials: Sequence[Trial], samples: int | None, taken: int) -> str | None:
    """What was taken of what is usual, of a large network."""
    from nfn_cli.symmetry import USUAL_INPUTS, fitting_shape

    less = []
    for chain, trial in zip(chains, trials, strict=True):
        shown = "x".join(map(str, trial.shape))
        if trial.padded:
            usual = "x".join(map(str, fitting_shape(chain)))
            less.append(f"{trial.inputs} padded inputs of {shown} instead of {USUAL_INPUTS} of {usual}")
        elif trial.inputs < USUAL_INPUTS:
            less.append(f"{trial.inputs} inputs of {shown} instead of {USUAL_INPUTS}")
    if samples is None and taken < _SAMPLES:
        less.append(f"{taken} samples instead of {_SAMPLES}")
    return f"a large network, run on {', '.join(less)} (see --input-shape, --samples)" if less else None


def _check_chains(
    source: Source,
    elements: Sequence[GroupElement],
    chains: Sequence[Architecture],
    trials: Sequence[Trial],
    generator: torch.Generator,
    watch: Watch,
) -> list[Check]:
    from nfn_cli.symmetry import check_outputs, random_inputs

    point = source.network.weights
    several = len(point.architecture.chains) > 1
    return [
        check_outputs(
            point,
            _each(watch, "outputs", elements),
            random_inputs(trial.shape, generator, trial.inputs),
            chain if several else None,
            padded=trial.padded,
        )
        for chain, trial in zip(chains, trials, strict=True)
    ]


def _check_model(
    source: Source,
    elements: Sequence[GroupElement],
    shape: tuple[int, ...] | None,
    trial: Trial,
    model: str,
    generator: torch.Generator,
    watch: Watch,
) -> Check:
    from nfn_cli.architectures.tracing.user_model import UserModel
    from nfn_cli.symmetry import compare_each, output_tolerance, transformed

    module = UserModel(model, source.precision)
    stored = source.checkpoint.tensors
    module.load(stored)
    example = _example(module, shape, trial, generator)
    before = [output.double() for output in module.run(example)]

    def after() -> Iterator[Sequence[Tensor]]:
        for element in _each(watch, f"outputs of {model}", elements):
            module.load({**stored, **transformed(source, element)})
            yield module.run(example)

    return compare_each(f"outputs of {model}", before, after(), output_tolerance(source.precision))


def _example(module: UserModel, shape: tuple[int, ...] | None, trial: Trial, generator: torch.Generator) -> Example:
    """Inputs to run a module on: those that its factory gives, or random ones.

    Raises:
        UsageError: a shape is told beside them.
    """
    import torch

    from nfn_cli.architectures.tracing.inputs import Example, candidate_shapes, with_random_numbers
    from nfn_cli.symmetry import random_inputs

    if module.example is not None:
        if shape is not None:
            raise UsageError("--input-shape", f"{module.name} gives example inputs of its own", "leave it out")
        return with_random_numbers(module.example, generator)

    def told(sizes: tuple[int, ...]) -> str:
        return f"inputs of {','.join(map(str, sizes))}"

    if shape is None:
        tried = candidate_shapes(trial.shape)
        fits = (one for one in tried if module.runs(Example((torch.zeros(2, *one),), assumed=told(one))))
        shape = next(fits, trial.shape)
    return Example((random_inputs(shape, generator, trial.inputs),), assumed=told(shape))


def _each(watch: Watch, name: str, items: Sequence[Item]) -> Iterator[Item]:
    """The items, of which each is a step of a stage, done when the next one is asked for."""
    watch.on_stage(name, len(items))
    for item in items:
        yield item
        watch.on_step()
