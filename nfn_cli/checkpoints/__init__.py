"""Bytes to tensors: safe readers of checkpoint files, and atomic writing.

>>> from nfn_cli.checkpoints import natural_key
>>> sorted(["conv10", "conv2"], key=natural_key)
['conv2', 'conv10']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.lazy import lazily

if TYPE_CHECKING:
    from nfn_cli.checkpoints.atomic import (
        require_writable,
        save_tensors,
        synced_together,
        write_atomically,
        write_text_atomically,
    )
    from nfn_cli.checkpoints.checkpoint import Checkpoint, Fact
    from nfn_cli.checkpoints.discover import find_checkpoints, natural_key, no_checkpoint, walk_checkpoints
    from nfn_cli.checkpoints.file_names import require_folder_name, require_safetensors_name, require_same_format
    from nfn_cli.checkpoints.formats.checkpoint_format import CheckpointFormat
    from nfn_cli.checkpoints.formats.registry import FORMATS, SUFFIXES, format_named
    from nfn_cli.checkpoints.formats.safetensors_file import POPULATION_KEY, PackedError
    from nfn_cli.checkpoints.memory import checkpoint_of, require_state_dict
    from nfn_cli.checkpoints.object_store import (
        RemoteFacts,
        StoreError,
        fetched,
        is_address,
        list_address,
        remote_facts,
    )
    from nfn_cli.checkpoints.opened_file import OpenedFile, open_tensors
    from nfn_cli.checkpoints.packed_population import population_of, read_members
    from nfn_cli.checkpoints.read import open_checkpoint, read_checkpoint
    from nfn_cli.checkpoints.replacement import settle
    from nfn_cli.checkpoints.rewrite import rewrite_checkpoint
    from nfn_cli.checkpoints.tensor_facts import TensorFacts, measure_tensors
    from nfn_cli.checkpoints.tensor_map import TensorMap
    from nfn_cli.checkpoints.tensors_in_parts import PartedTensors
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "FORMATS",
    "POPULATION_KEY",
    "SUFFIXES",
    "Checkpoint",
    "CheckpointFormat",
    "Fact",
    "OpenedFile",
    "PackedError",
    "PartedTensors",
    "RemoteFacts",
    "StoreError",
    "TensorFacts",
    "TensorMap",
    "checkpoint_of",
    "fetched",
    "find_checkpoints",
    "format_named",
    "is_address",
    "list_address",
    "measure_tensors",
    "natural_key",
    "no_checkpoint",
    "open_checkpoint",
    "open_tensors",
    "population_of",
    "read_checkpoint",
    "read_members",
    "remote_facts",
    "require_folder_name",
    "require_safetensors_name",
    "require_same_format",
    "require_state_dict",
    "require_writable",
    "rewrite_checkpoint",
    "save_tensors",
    "settle",
    "synced_together",
    "walk_checkpoints",
    "write_atomically",
    "write_text_atomically",
]
