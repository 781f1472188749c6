"""Whatever bytes a file holds, reading it gives a checkpoint or a CheckpointError."""

from __future__ import annotations

import io
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import CheckpointError

quick = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

BEGINNINGS = [
    b"",
    b"PK\3\4",
    b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
    b"\x20\0\0\0\0\0\0\0{",
    b'{"weight_map": ',
    b"\x80\2",
]


def _real_files() -> dict[str, bytes]:
    weights = OrderedDict(
        [
            ("conv.weight", torch.ones(2, 1, 3, 3)),
            ("conv.bias", torch.ones(2, dtype=torch.float16)),
            ("fc.weight", torch.nn.Parameter(torch.ones(3, 2))),
            ("steps", torch.tensor(3)),
        ]
    )
    training = {"model": weights, "optimizer": {"state": {0: torch.ones(3, 2)}}, "config": {"activation": "relu"}}
    files = {"safetensors": save({name: tensor.detach() for name, tensor in weights.items()}, {"activation": "relu"})}
    for name, zipped in (("torch", True), ("torch-legacy", False)):
        buffer = io.BytesIO()
        torch.save(training, buffer, _use_new_zipfile_serialization=zipped)
        files[name] = buffer.getvalue()
    files["index"] = b'{"metadata": {}, "weight_map": {"fc.weight": "shard.bin", "fc.bias": "shard.bin"}}'
    return files


FILES = _real_files()


def read(folder: Path, data: bytes) -> None:
    path = folder / "model.pt"
    path.write_bytes(data)
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        # One line that can be printed.
        assert str(error).isprintable()


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes of a file replaced, removed, put in or copied from elsewhere."""
    mutable = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(mutable)))
        removed = draw(st.integers(0, 8))
        source = draw(st.integers(0, len(mutable)))
        put_in = draw(st.one_of(st.binary(max_size=8), st.just(bytes(mutable[source : source + 8]))))
        mutable[start : start + removed] = put_in
    return bytes(mutable)


@given(data=st.binary(max_size=300), beginning=st.sampled_from(BEGINNINGS))
@quick
def test_random_bytes_are_read_or_refused(
    data: bytes, beginning: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read(tmp_path_factory.getbasetemp(), beginning + data)


@pytest.mark.parametrize("name", FILES)
@given(draws=st.data())
@quick
def test_damaged_files_are_read_or_refused(
    name: str, draws: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read(tmp_path_factory.getbasetemp(), draws.draw(damaged(FILES[name])))


@given(draws=st.data())
@quick
def test_a_damaged_pickle_in_a_sound_archive_is_read_or_refused(
    draws: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(FILES["torch"])) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, draws.draw(damaged(content)) if name.endswith("data.pkl") else content)
    read(tmp_path_factory.getbasetemp(), changed.getvalue())


@pytest.mark.parametrize("name", ["safetensors", "torch", "torch-legacy"])
def test_the_files_that_are_damaged_here_are_sound(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(FILES[name])
    checkpoint = read_checkpoint(tmp_path / "model.pt")
    assert checkpoint.format == name
    assert set(checkpoint.tensors) == {"conv.weight", "conv.bias", "fc.weight", "steps"}
    assert checkpoint.metadata == {"activation": "relu"}
