"""From a checkpoint to what Monomial-NFN for any architecture reads of it: its network is traced, or is a chain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from nfn_cli.architectures import Stated
from nfn_cli.architectures.config_file import UnreadableConfigError, config_beside
from nfn_cli.architectures.traced import COUNTS
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError
from nfn_cli.nn.labelled_nfn.fields_of import FieldReader
from nfn_cli.nn.labelled_nfn.network_fields import NetworkFields
from nfn_cli.symmetry.labelled import label_chain
from nfn_cli.symmetry.sources import read_any
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.architectures.labels import LabelledArchitecture
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry.sources import AnySource

_KEPT = 8
_known: dict[Any, FieldReader] = {}  # of the architectures that were read last


def read_fields(given: Path | Checkpoint, stated: Stated, tracer: NetworkTracer) -> NetworkFields:
    """One network.

    Raises:
        CheckpointError: the file cannot be read.
        ArchitectureError: its group is not known, or has no fields.
        UsageError: the user's module cannot be made.
    """
    return fields_of(source_of(given, stated, tracer))


def fields_of(source: AnySource) -> NetworkFields:
    """One network that was opened already.

    Raises:
        ArchitectureError: its group has no fields, or it is no classifier.
    """
    architecture, tensors = labelled_of(source)
    left = [name for name in architecture.left if name in tensors and not name.endswith(COUNTS)]
    shapes = {name: tuple(tensors[name].shape) for name in left if tensors[name].is_floating_point()}
    # A traced architecture is one object as long as its tracer keeps it, and here as long as its reader does.
    own = repr(source.stored) if isinstance(source, Source) else id(architecture.logs)
    key = (own, tuple(tensor.names for tensor in architecture.tensors), tuple(shapes.items()))
    if key not in _known:
        if len(_known) >= _KEPT:
            _known.pop(next(iter(_known)))
        _known[key] = FieldReader.of(architecture, shapes)
    reader = _known[key]
    return reader.read({name: tensors[name] for name in reader.layout.shapes}, classes_of(source))


def classes_of(source: AnySource) -> int:
    """How many classes a network tells apart: the last axis of its first output that is a batch of vectors.

    Raises:
        ArchitectureError: it has no such output.
    """
    if isinstance(source, Source):
        return source.stored.outputs
    for shape in source.network.outputs:
        if len(shape) > 1:
            return shape[-1]
    raise ArchitectureError(source.checkpoint.path, "it gives no logits of classes", "give a classifier")


def source_of(given: Path | Checkpoint, stated: Stated, tracer: NetworkTracer) -> AnySource:
    """A network for the group to act on; a checkpoint of a file is read with the configuration beside it.

    Raises:
        CheckpointError, ArchitectureError, UsageError: it cannot be read.
    """
    from nfn_cli.symmetry.labelled.source import open_labelled

    if isinstance(given, Checkpoint) and given.format != "memory" and tracer.model is None and not stated.chain:
        try:
            config = config_beside(given.path)
        except UnreadableConfigError:  # it may be nothing of the network's
            config = None
        if config is not None:
            found = open_labelled(given, tracer, config=config, strict=stated.strict)
            if found is not None:
                return found
    return read_any(given, stated, tracer)


def labelled_of(source: AnySource) -> tuple[LabelledArchitecture, Mapping[str, Tensor]]:
    """The labels of a network, and its tensors under the names that they have there."""
    if not isinstance(source, Source):
        return source.architecture, source.checkpoint.tensors
    return label_chain(source.stored), source.checkpoint.tensors
