"""Bytes to tensors: safe readers of checkpoint files, and atomic writing.

>>> from nfn_cli.checkpoints import natural_key
>>> sorted(["conv10", "conv2"], key=natural_key)
['conv2', 'conv10']
"""

from nfn_cli.checkpoints.atomic import (
    require_writable,
    save_tensors,
    synced_together,
    write_atomically,
    write_text_atomically,
)
from nfn_cli.checkpoints.checkpoint import Checkpoint, Fact, Format
from nfn_cli.checkpoints.discover import find_checkpoints, natural_key
from nfn_cli.checkpoints.parted import PartedTensors
from nfn_cli.checkpoints.read import read_checkpoint
from nfn_cli.checkpoints.rewrite import rewrite_checkpoint
from nfn_cli.checkpoints.safetensors_format import POPULATION_KEY

__all__ = [
    "POPULATION_KEY",
    "Checkpoint",
    "Fact",
    "Format",
    "PartedTensors",
    "find_checkpoints",
    "natural_key",
    "read_checkpoint",
    "require_writable",
    "rewrite_checkpoint",
    "save_tensors",
    "synced_together",
    "write_atomically",
    "write_text_atomically",
]
