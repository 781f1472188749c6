"""The readers that are fuzzed, each with sound inputs to begin from, words that its format is made of, and a function
that reads a file. A reader may refuse with an NfnError, and do nothing else."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save

from nfn_cli.architectures import read_weight_space
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.nn.choose import shipped_configs
from nfn_cli.nn.head import read_config, read_head
from nfn_cli.nn.inr.classifier import read_classifier
from nfn_cli.shipped import models_folder


@dataclass(frozen=True)
class Reader:
    """A reader under test.

    Attributes:
        seeds: sound inputs.
        words: pieces of the format that mutations put in.
        file: the name of the file that holds the input, in a folder of its own.
        beside: other files of that folder.
        read: reads it.
    """

    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...]
    file: str
    read: Callable[[Path], object]
    beside: tuple[tuple[str, bytes], ...] = ()


class Payload:
    """Pickled, it would write a file when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return eval, ("open('payload-ran', 'w').close()",)


def _weights() -> OrderedDict[str, torch.Tensor]:
    return OrderedDict(
        [
            ("conv.weight", torch.ones(2, 1, 3, 3)),
            ("conv.bias", torch.ones(2, dtype=torch.float16)),
            ("fc.weight", torch.ones(3, 2)),
        ]
    )


def _torch_files(*, zipped: bool) -> tuple[bytes, ...]:
    plain = {"model": _weights(), "config": {"activation": "relu"}}
    hostile = {"model": _weights(), "payload": Payload()}
    files = []
    for content in (plain, hostile):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
        files.append(buffer.getvalue())
    return tuple(files)


_OPCODES = (
    b"cos\nsystem\n",
    b"cbuiltins\neval\n",
    b"R",
    b"\x93",
    b"b",
    b"(",
    b"X\x04\0\0\0evil",
    b"\x8a\x08\xff" + b"\x7f" * 7,
)
_NUMBERS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0\0\0\0\x80", b"99999999999999999999")
_YAML = (
    b"!!python/object/apply:os.system [id]",
    b"&a [*a, *a]",
    b"*a",
    b"{",
    b"}",
    b": ",
    b"- ",
    b"1e999",
    b".nan",
    b"null",
)
_PATHS = (b"../", b"/etc/passwd", b"..\\\\", b"\\u0000", b"shard.safetensors", b"a/../../b")


def _head_folder(name: str) -> tuple[tuple[str, bytes], ...]:
    return (("model.safetensors", (models_folder() / name / "model.safetensors").read_bytes()),)


def _configs() -> tuple[bytes, ...]:
    return tuple((models_folder() / name / "config.yaml").read_bytes() for name in shipped_configs())


def _read_network(path: Path) -> object:
    return read_weight_space(read_checkpoint(path), default_activation="relu")


def _read_any_head(path: Path) -> None:
    read_config(path.parent)
    read_head(path.parent)


def readers() -> dict[str, Reader]:
    """All readers by their names."""
    safetensors = save({name: tensor for name, tensor in _weights().items()}, {"activation": "relu"})
    shard = (("shard.safetensors", safetensors),)
    pairs = ", ".join(f'"{name}": "shard.safetensors"' for name in _weights())
    index = f'{{"metadata": {{"total_size": 70}}, "weight_map": {{{pairs}}}}}'.encode()
    classifier = (models_folder() / "inr-mnist" / "config.yaml").read_bytes()
    headers = (b'"data_offsets":[0,72]', b'"dtype":"F64"', b'"shape":[999999999,9]', b'"__metadata__"', b'{"', b'"}')
    return {
        "safetensors": Reader((safetensors,), (*headers, *_NUMBERS), "model.safetensors", _read_network),
        "zip": Reader(
            _torch_files(zipped=True), (*_OPCODES, *_NUMBERS, b"PK\1\2", b"PK\5\6"), "model.pt", _read_network
        ),
        "legacy": Reader(
            (*_torch_files(zipped=False), pickle.dumps(Payload())), (*_OPCODES, *_NUMBERS), "model.pt", _read_network
        ),
        "index": Reader(
            (index,), (*_PATHS, b'"weight_map"', b"{}", b"[]", b'":"'), "m.safetensors.index.json", _read_network, shard
        ),
        "sidecar": Reader(
            (b"activation: relu\npool: max\n", b"activation: sin\nomega_0: 30\nvalue_range: -1 1\n"),
            (*_YAML, b"activation", b"omega_0", b"pool", b"value_range", *_NUMBERS),
            "model.yaml",
            lambda path: _read_network(path.with_name("model.safetensors")),
            (("model.safetensors", safetensors),),
        ),
        "head": Reader(
            _configs(),
            (
                *_YAML,
                *_NUMBERS,
                b"probes: 999999",
                b"hidden: 4096",
                b"members: 64",
                b"kernel: [3, 3]",
                b"linear",
                b"conv",
            ),
            "config.yaml",
            _read_any_head,
            _head_folder("monomial-nfn-relu"),
        ),
        "classifier": Reader(
            (classifier,),
            (*_YAML, *_NUMBERS, b"side: 256", b"channels: 1024", b"members: 64", b"classes:", b"- '0'\n"),
            "config.yaml",
            lambda path: read_classifier(path.parent),
            _head_folder("inr-mnist"),
        ),
    }
