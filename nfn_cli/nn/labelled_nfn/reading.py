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


class FieldsReader:
    """Reads networks, and finds the fields of each architecture once.

    Args:
        tracer: has the user's module, and the architectures that were traced last.
        stated: what the caller says of all networks.
    """

    def __init__(self, tracer: NetworkTracer, stated: Stated | None = None) -> None:
        self._tracer, self._stated = tracer, stated or Stated()
        self._known: dict[Any, FieldReader] = {}

    def read(self, given: Path | Checkpoint) -> NetworkFields:
        """One network.

        Raises:
            CheckpointError: the file cannot be read.
            ArchitectureError: its group is not known, or has no fields.
            UsageError: the user's module cannot be made.
        """
        return self.of(source_of(given, self._stated, self._tracer))

    def of(self, source: AnySource) -> NetworkFields:
        """One network that was opened already."""
        architecture, tensors = labelled_of(source)
        left = [name for name in architecture.left if name in tensors and not name.endswith(COUNTS)]
        kept = {name: tensors[name] for name in left if tensors[name].is_floating_point()}
        key = (id(architecture.logs), tuple(tensor.names for tensor in architecture.tensors), tuple(kept))
        if isinstance(source, Source):
            key = (repr(source.stored),)
        if key not in self._known:
            if len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            shapes = {name: tuple(tensor.shape) for name, tensor in kept.items()}
            self._known[key] = FieldReader.of(architecture, shapes)
        reader = self._known[key]
        matrices = [tensor.shape for tensor in architecture.tensors if len(tensor.shape) > 1]
        if not matrices:
            raise ArchitectureError(source.checkpoint.path, "no matrix of weights", "give a classifier")
        return reader.read({name: tensors[name] for name in reader.layout.shapes}, matrices[-1][0])


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
