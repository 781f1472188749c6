"""Whether a network computes the same along its orbit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights, Stated, stack
from nfn_cli.errors import ArchitectureError, CheckpointError, UsageError
from nfn_cli.symmetry.action import act
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.preservation import (
    USUAL_INPUTS,
    Check,
    check_outputs,
    compare,
    compare_each,
    fitting_shape,
    output_tolerance,
    random_inputs,
)
from nfn_cli.symmetry.sampling import sample_element
from nfn_cli.symmetry.sources import read_any
from nfn_cli.symmetry.transform import Source, read_source, transformed
from nfn_cli.symmetry.trial import Trial, plan_trial

if TYPE_CHECKING:
    # Only modules and traced networks need these.
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.architectures.tracing.inputs import Example
    from nfn_cli.architectures.tracing.user_model import UserModel
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.sources import AnySource

Item = TypeVar("Item")

_SCALES = (0.1, 10.0)
_SAMPLES = 8


@dataclass(frozen=True)
class Reader:
    """Something that reads networks, such as a head, and must give one result for a whole orbit.

    Attributes:
        says: from a batch of networks to numbers.
        phases: whether it is also invariant under shifted phases of sines.
    """

    name: str
    says: Callable[[NetworkWeights], Tensor]
    phases: bool


def require_there(*paths: Path) -> None:
    """Check that files exist, before anything is read.

    Raises:
        CheckpointError: one does not exist.
    """
    for path in paths:
        if not os.path.lexists(path):
            raise CheckpointError(path, "no such file", "check the path and its permissions")


def read_alone(path: Path, stated: Stated, tracer: NetworkTracer) -> AnySource:
    """Read a checkpoint to check it along its own orbit: as a chain where possible, even if a module is given.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as `read_any`.
    """
    if tracer.model is not None:
        try:
            return read_source(path, stated)
        except ArchitectureError:
            pass
    return read_any(path, stated, tracer)


def check_traced_orbit(
    source: LabelledSource, *, samples: int | None = None, seed: int, watch: Watch = UNWATCHED
) -> list[Check]:
    """Transform a traced network by random elements and run it: its outputs must stay the same.

    Raises:
        ArchitectureError: it is too large to be run.
    """
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
    """Transform a checkpoint by random elements: its outputs must stay the same, and what a reader says of it.

    Args:
        samples: number of elements; by default eight, or fewer for a large network.
        reader: must give the same result for every transformed network.
        shape: of one input; by default one that fits.
        model: `file.py:factory` or `module:factory` of the module to run; by default the chain itself, without strides
            and padding.
        on_note: called with what was run, where that is less than usual.

    Raises:
        UsageError: inputs of this shape do not fit, or the module is unusable.
    """
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
    """The chains to run, and what each is run on; only the first of several unless `several`."""
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
    """How a large network was run on less than usual; None where it was not."""
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
    """Inputs to run a module on: those that its factory gives, else random ones.

    Raises:
        UsageError: the factory gives inputs, and a shape is given too.
    """
    from nfn_cli.architectures.tracing.inputs import Example, candidate_shapes, with_random_numbers

    if module.example is not None:
        if shape is not None:
            raise UsageError("--input-shape", f"{module.name} gives example inputs of its own", "leave it out")
        return with_random_numbers(module.example, generator)

    def example(inputs: Tensor) -> Example:
        return Example((inputs,), assumed=f"inputs of {','.join(map(str, inputs.shape[1:]))}")

    if shape is None:
        fits = (one for one in candidate_shapes(trial.shape) if module.runs(example(torch.zeros(2, *one))))
        shape = next(fits, trial.shape)
    return example(random_inputs(shape, generator, trial.inputs))


def _each(watch: Watch, name: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yield items and report progress: each is one step of a stage, done when the next one is asked for."""
    watch.on_stage(name, len(items))
    for item in items:
        yield item
        watch.on_step()
