"""The readers that are fuzzed, each with sound inputs to begin from, words that its format is made of, and a function
that reads a file. A reader may refuse with an NfnError, and do nothing else."""

from __future__ import annotations

import io
import pickle
import tempfile
from argparse import Namespace
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from nfn_cli.architectures import Architecture, Layer, chain, read_weights
from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.checkpoints import (
    POPULATION_KEY,
    measure_tensors,
    open_tensors,
    population_of,
    read_checkpoint,
    read_members,
)
from nfn_cli.nn import shipped_heads_of
from nfn_cli.nn.head import read_config, read_head
from nfn_cli.shipped import models_folder
from nfn_cli.symmetry import load_element, sample_element, save_element
from nfn_cli.symmetry.labelled import label_chain, load_labelled_element, sample, save_labelled_element
from nfn_cli.zoo import load_images, read_networks


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
    objects = {
        "model": _weights(),
        "best": np.float64(0.9),
        "history": np.arange(3.0),
        "args": Namespace(lr=0.1),
        "counts": defaultdict(list, {"a": [1]}),
    }
    files = []
    for content in (plain, hostile, objects):
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
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\nscalar\n",
    b"ccollections\ndefaultdict\n",
    b"c__builtin__\nbytearray\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b")\x81",
    b"\x92",
    b"e",
    b"u",
    b"t",
    b"r\xff\xff\xff\xff",
    b"\x8d" + b"\xff" * 8,
    b"Q",
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
    return tuple((models_folder() / name / "config.yaml").read_bytes() for name in shipped_heads_of("predict-accuracy"))


def _read_network(path: Path) -> object:
    return read_weights(read_checkpoint(path), default_activation="relu")


def _open(path: Path) -> None:
    opened = open_tensors(path)
    measure_tensors(opened.tensors, opened.unheld)


def _read_any_head(path: Path) -> None:
    read_config(path.parent)
    read_head(path.parent)


def _read_packed(path: Path) -> None:
    count = population_of(path)
    if count is None:
        _read_network(path)
    else:
        read_weights(read_members(path, 0, min(count, 4))[0], default_activation="relu")


def _images() -> bytes:
    buffer = io.BytesIO()
    images, labels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.arange(3)
    np.savez(buffer, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return buffer.getvalue()


def _element(network: Architecture) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.safetensors"
        save_element(path, sample_element(network, torch.Generator().manual_seed(0)), network)
        return path.read_bytes()


def _labelled_element(network: LabelledArchitecture) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.safetensors"
        save_labelled_element(path, sample(network, torch.Generator().manual_seed(0)), network)
        return path.read_bytes()


def _labels() -> bytes:
    rows = ["file,index,epoch,test_accuracy,run,activation", "model.safetensors,0,1,0.5,a,relu"]
    return "\n".join([*rows, "model.safetensors,1,2,0.25,b,relu", ""]).encode()


def readers() -> dict[str, Reader]:
    """All readers by their names."""
    safetensors = save({name: tensor for name, tensor in _weights().items()}, {"activation": "relu"})
    two = {name: torch.stack([tensor, tensor]) for name, tensor in _weights().items()}
    packed = save(two, {"activation": "relu", POPULATION_KEY: "2"})
    network = chain([Layer("0", "linear", 3, 4), Layer("1", "linear", 4, 2)], activation="relu")
    shard = (("shard.safetensors", safetensors),)
    pairs = ", ".join(f'"{name}": "shard.safetensors"' for name in _weights())
    index = f'{{"metadata": {{"total_size": 70}}, "weight_map": {{{pairs}}}}}'.encode()
    classifier = (models_folder() / "inr-mnist" / "config.yaml").read_bytes()
    headers = (b'"data_offsets":[0,72]', b'"dtype":"F64"', b'"shape":[999999999,9]', b'"__metadata__"', b'{"', b'"}')
    return {
        "safetensors": Reader((safetensors,), (*headers, *_NUMBERS), "model.safetensors", _read_network),
        "packed": Reader(
            (packed,),
            (*headers, *_NUMBERS, b'"nfn.population":"0"', b'"nfn.population":"-1"', b'"shape":[0,', b"1e9"),
            "model.safetensors",
            _read_packed,
        ),
        "labels": Reader(
            (_labels(),),
            (
                *_NUMBERS,
                *_PATHS,
                b",",
                b"\n",
                b'"',
                b"\0",
                b"nan",
                b"-1",
                b"1e999",
                b"0.5",
                b"index",
                b"model.safetensors",
            ),
            "labels.csv",
            lambda path: read_networks(path.parent),
            (("model.safetensors", packed),),
        ),
        "element": Reader(
            (_element(network),),
            (*headers, *_NUMBERS, b'"I64"', b"permutation", b"diagonal", b'"shape":[4]'),
            "g.safetensors",
            lambda path: load_element(path, network),
        ),
        "element on labels": Reader(
            (_labelled_element(label_chain(network)),),
            (*headers, *_NUMBERS, b'"I32"', b'"BOOL"', b"goes", b"logs", b"signs", b'"shape":[4]'),
            "g.safetensors",
            lambda path: load_labelled_element(path, label_chain(network)),
        ),
        "images": Reader(
            (_images(),),
            (*_NUMBERS, b"x_train", b"y_test.npy", b"'descr': '|O'", b"'shape': (9999999999,)", b"PK\1\2", b"PK\5\6"),
            "images.npz",
            lambda path: load_images(str(path), smallest=15),
        ),
        "zip": Reader(
            _torch_files(zipped=True), (*_OPCODES, *_NUMBERS, b"PK\1\2", b"PK\5\6"), "model.pt", _read_network
        ),
        "legacy": Reader(
            (*_torch_files(zipped=False), pickle.dumps(Payload())), (*_OPCODES, *_NUMBERS), "model.pt", _read_network
        ),
        "opened safetensors": Reader((safetensors, packed), (*headers, *_NUMBERS), "model.safetensors", _open),
        "opened zip": Reader(
            _torch_files(zipped=True), (*_OPCODES, *_NUMBERS, b"PK\1\2", b"PK\5\6"), "model.pt", _open
        ),
        "opened legacy": Reader(_torch_files(zipped=False), (*_OPCODES, *_NUMBERS), "model.pt", _open),
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
            lambda path: read_head(path.parent, task="classify-inr"),
            _head_folder("inr-mnist"),
        ),
    }
