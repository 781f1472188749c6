"""All checkpoint formats. Adding one is adding its file and its entry here. No torch here."""

from __future__ import annotations

import re

from nfn_cli.checkpoints.formats.checkpoint_format import CheckpointFormat

_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
# Every legacy file starts with a pickle of this number (torch.serialization.MAGIC_NUMBER).
_LEGACY_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")

SAFETENSORS = CheckpointFormat(
    name="safetensors",
    file="safetensors_file",
    title="a safetensors file",
    description="tensors behind a JSON header; facts about the network may stand in its metadata",
    suffixes=(".safetensors",),
    # The length of the header, in 8 bytes, then the header. Certain for headers of less than 4 GiB: the length of one
    # may spell what files of other formats begin with.
    certain=rb".{4}\0{4}\{",
    begins=rb"(?!\s*\{).{8}\{",
)
SHARDED = CheckpointFormat(
    name="sharded",
    file="sharded",
    title="a sharded checkpoint",
    description="an index of Hugging Face that says which file has which tensor; the files are of the other formats",
    suffixes=(".index.json",),
    begins=rb"\s*\{",
    sharded=True,
)
FORMATS: tuple[CheckpointFormat, ...] = (
    SAFETENSORS,
    CheckpointFormat(
        name="torch",
        file="torch_zip",
        title="a PyTorch file",
        description="what `torch.save` writes: a zip archive with a pickle, which nfn reads itself and never executes",
        suffixes=_TORCH_SUFFIXES,
        member=r"(.*/)?data\.pkl",
        stored=True,
        ordered=True,
        entries=True,
    ),
    CheckpointFormat(
        name="torch-legacy",
        file="torch_legacy",
        title="a PyTorch file",
        description="what `torch.save` wrote before PyTorch 1.6: several pickles; it is written back as a zip archive",
        suffixes=_TORCH_SUFFIXES,
        begins=rb"\x80.*" + re.escape(_LEGACY_MAGIC),
        ordered=True,
        entries=True,
    ),
    SHARDED,
)
# Files with these are checkpoints; an index is known by its whole ending.
SUFFIXES = tuple(dict.fromkeys(suffix for own in FORMATS if not own.sharded for suffix in own.suffixes))

SAVE = "save the state dict with safetensors, or with torch.save(model.state_dict(), ...)"
# What nfn does not read: what files begin with, what they are, and what to do.
FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (rb"GGUF", "a GGUF file, which nfn does not read", SAVE),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras), which nfn does not read", SAVE),
    (rb"\x93NUMPY", "a NumPy array, which nfn does not read", SAVE),
    # The version of the format, then the name of the program or the graph.
    (rb"\x08[\x01-\x20][\x12\x3a\x42]", "an ONNX model, which nfn does not read", SAVE),
    (rb"\x1f\x8b", "a gzip archive", "unpack it"),
    (rb"version https://git-lfs", "a Git LFS pointer: the checkpoint itself is not here", "run `git lfs pull`"),
    (rb"(?i)\s*<(!doctype|html)", "a web page, perhaps of a failed download", "download the checkpoint again"),
)


def format_named(name: str) -> CheckpointFormat:
    """The format of a name.

    Raises:
        KeyError: there is none.

    >>> format_named("torch").suffixes
    ('.pt', '.pth', '.bin', '.ckpt')
    """
    return {own.name: own for own in FORMATS}[name]
