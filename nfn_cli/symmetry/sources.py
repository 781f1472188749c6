"""A checkpoint for the group to act on, read as chains or by a traced module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from nfn_cli.architectures import ReadNetwork, Stated
from nfn_cli.architectures.config_file import UnreadableConfigError, config_beside
from nfn_cli.architectures.traced import require_model_alone, with_model
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError, DifferentError, UsageError, shown
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.inspection import read_leniently
from nfn_cli.symmetry.sampling import sample_element
from nfn_cli.symmetry.stored_element import load_element, save_element
from nfn_cli.symmetry.transform import Source, read_source, transformed

if TYPE_CHECKING:
    # Chains are read by the thousand and need none of these, so they are not imported for them.
    from nfn_cli.architectures.traced import NetworkTracer, TracedNetwork
    from nfn_cli.symmetry import labelled
    from nfn_cli.symmetry.labelled.source import LabelledSource
    from nfn_cli.symmetry.transform import TransformedTensors

    AnySource = Source | LabelledSource
    AnyElement = GroupElement | labelled.Element
    AnyTransformed = TransformedTensors | labelled.TransformedTensors

Chains = TypeVar("Chains")


@dataclass(frozen=True)
class Draw:
    """How random elements are drawn.

    Attributes:
        scale_range: lowest and highest scale.
        scale, flip, permute: switch each part off.
        pow2: scales are powers of two, which round no weight.
    """

    scale_range: tuple[float, float] = (0.1, 10.0)
    scale: bool = True
    flip: bool = True
    permute: bool = True
    pow2: bool = False


def draw_element(source: AnySource, draw: Draw, seed: int) -> AnyElement:
    """A random element of a network's group.

    Raises:
        UsageError: no power of two lies in the range.
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(source, Source):
        drawn = sample_element(
            source.stored,
            generator,
            scale_range=draw.scale_range,
            scale=draw.scale,
            flip=draw.flip,
            permute=draw.permute,
            phase=draw.flip and not draw.pow2,
        )
        if not draw.pow2:
            return drawn
        return replace(drawn, diagonals=tuple(own.sign() * own.abs().log2().round().exp2() for own in drawn.diagonals))
    from nfn_cli.symmetry import labelled

    try:
        element = labelled.sample(
            source.architecture,
            generator,
            scale_range=draw.scale_range,
            scale=draw.scale,
            flip=draw.flip,
            permute=draw.permute,
            pow2=draw.pow2,
        )
    except ValueError as error:
        raise UsageError("--scale-range", str(error), "give a wider one") from error
    return element if draw.pow2 else labelled.bounded(element, source.architecture, source.checkpoint.tensors)


def difference(ours: AnySource, theirs: AnySource) -> DifferentError | None:
    """Why no group element can bring two networks together, of which at least one was traced; None where one may.

    Raises:
        ArchitectureError: their configurations differ, so that equal weights may compute two functions.
    """
    from nfn_cli.architectures.families import differing_field
    from nfn_cli.symmetry import labelled

    subject = theirs.checkpoint.path
    if isinstance(ours, Source) or isinstance(theirs, Source):
        cause = f"it is read as {theirs.reading.text}, the other as {ours.reading.text}"
    elif labelled.fingerprint(ours.architecture) != labelled.fingerprint(theirs.architecture):
        cause = f"its architecture ({theirs.reading.text}) is another than the other's ({ours.reading.text})"
    else:
        if ours.network.config is not None and theirs.network.config is not None:
            field = differing_field(ours.network.config, theirs.network.config)
            if field is not None:
                cause = f"its config.json has another {shown(field)} than that of {ours.checkpoint.path}"
                raise ArchitectureError(subject, cause, "give both the same if they are one network's")
        return None
    return DifferentError(subject, cause, f"compare it with a checkpoint of its own kind, not {ours.checkpoint.path}")


def read_element(source: AnySource, path: Path) -> AnyElement:
    """A saved element of this network's group.

    Raises:
        CheckpointError: it is none.
    """
    if isinstance(source, Source):
        return load_element(path, source.stored)
    from nfn_cli.symmetry import labelled

    return labelled.load_labelled_element(path, source.architecture)


def write_element(source: AnySource, element: AnyElement, path: Path, *, overwrite: bool) -> None:
    """Save an element of this network's group.

    Raises:
        CheckpointError: the file exists (without `overwrite`) or cannot be written.
    """
    if isinstance(source, Source):
        assert isinstance(element, GroupElement)
        save_element(path, element, source.stored, overwrite=overwrite)
        return
    from nfn_cli.symmetry import labelled

    assert isinstance(element, labelled.Element)
    labelled.save_labelled_element(path, element, source.architecture, overwrite=overwrite)


def identity_of(source: AnySource) -> AnyElement:
    """The identity of a network's group."""
    if isinstance(source, Source):
        return GroupElement.identity([group.size for group in source.network.weights.architecture.groups])
    from nfn_cli.symmetry import labelled

    return labelled.identity(source.architecture)


def inverted(source: AnySource, element: AnyElement) -> AnyElement:
    """g⁻¹."""
    if isinstance(element, GroupElement):
        return element.inverse()
    from nfn_cli.symmetry import labelled

    assert not isinstance(source, Source)
    return labelled.inverse(source.architecture, element)


def transformed_by(source: AnySource, element: AnyElement, *, exact: bool = False) -> AnyTransformed:
    """The file's tensors after an element has acted, each computed when it is asked for.

    Args:
        exact: for traced networks, refuse numbers that would be rounded.
    """
    if isinstance(source, Source):
        assert isinstance(element, GroupElement)
        return transformed(source, element)
    from nfn_cli.symmetry import labelled

    assert isinstance(element, labelled.Element)
    own = source.checkpoint
    return labelled.TransformedTensors(own.path, own.tensors, source.architecture, element, exact=exact)


def read_any(
    path: Path | Checkpoint, stated: Stated, tracer: NetworkTracer, like: AnySource | None = None
) -> AnySource:
    """Read a checkpoint, from a file or in memory: by the user's module; by a configuration beside it; as chains; by
    names and shapes.

    The first of these that is available decides. Names and shapes decide only where the file is not a single chain.

    Args:
        like: a network to compare with; its configuration is used where none is beside the file.

    Raises:
        CheckpointError, ArchitectureError, UsageError: it cannot be read; the likeliest of several causes.
    """
    same = None if like is None or isinstance(like, Source) else like.network
    return _traced_or(
        path, stated, tracer, lambda: read_source(path, stated), lambda source: len(source.stored.starts), like=same
    )


def read_to_inspect(
    path: Path | Checkpoint, stated: Stated, tracer: NetworkTracer
) -> LabelledSource | tuple[Checkpoint, ReadNetwork]:
    """As `read_any`, but only to look at: a chain's activation may be unknown.

    Raises:
        CheckpointError, ArchitectureError, UsageError: as there.
    """
    return _traced_or(
        path,
        stated,
        tracer,
        lambda: read_leniently(path, stated),
        lambda read: len(read[1].weights.architecture.starts),
    )


def _traced_or(
    path: Path | Checkpoint,
    stated: Stated,
    tracer: NetworkTracer,
    read_chains: Callable[[], Chains],
    count: Callable[[Chains], int],
    like: TracedNetwork | None = None,
) -> LabelledSource | Chains:
    """As `read_any`, with another way to read chains.

    Args:
        read_chains: raises ArchitectureError where there are none. count: how many chains were read.
    """
    if tracer.model is not None:
        require_model_alone(stated)
        found = _traced(path, tracer, stated)
        assert found is not None
        return found
    if stated.chain or stated.prefix is not None:
        return read_chains()
    config: Mapping[str, Any] | None = None
    unreadable: UnreadableConfigError | None = None
    try:
        config = None if isinstance(path, Checkpoint) else config_beside(path)
    except UnreadableConfigError as error:  # it may be nothing of the network's
        unreadable = error
    if config is not None:
        found = _traced(path, tracer, stated, config)
    elif unreadable is None and like is not None and like.config is not None:
        found = _traced(path, tracer, stated, like.config)
        if found is not None:
            found = found.assuming("read by the configuration of the other one, since none is beside it")
    else:
        found = None
    if found is not None:
        return found
    try:
        source = read_chains()
    except ArchitectureError as error:
        if unreadable is not None:
            raise unreadable from None
        unknown = tracer.unknown
        try:
            found = _traced(path, tracer, stated)
        except ArchitectureError as refused:
            if unknown is None:
                raise
            # There is a configuration of an unknown family.
            subject = path.path if isinstance(path, Checkpoint) else path
            raise ArchitectureError(subject, unknown, "give its module: --model FILE.py:FACTORY") from refused
        if found is None:
            raise with_model(error) from error
        return found
    if count(source) > 1 and not stated.strict:
        try:
            return _traced(path, tracer, stated) or source
        except ArchitectureError:
            return source
    return source


def _traced(
    path: Path | Checkpoint, tracer: NetworkTracer, stated: Stated, config: Mapping[str, Any] | None = None
) -> LabelledSource | None:
    from nfn_cli.symmetry.labelled.source import open_labelled

    return open_labelled(path, tracer, entry=stated.entry, config=config, strict=stated.strict)
