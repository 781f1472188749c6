"""Every file that is no readable network is refused in one line, by the library and by the command."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import open_checkpoint, read_checkpoint
from nfn_cli.errors import CheckpointError

Nfn = Callable[..., tuple[int, str, str]]

GOOD = {"fc.weight": torch.eye(3), "fc.bias": torch.ones(3)}


class Bad(NamedTuple):
    """A path that nfn shall refuse."""

    path: Path
    told: str  # a part of the message
    subject: Path  # the file that the message names


Make = Callable[[Path], Path]
CASES: dict[str, tuple[Make, str]] = {}


def case(name: str, told: str) -> Callable[[Make], Make]:
    """Register what makes a bad file in a folder, and what shall be told of it."""

    def register(make: Make) -> Make:
        CASES[name] = (make, told)
        return make

    return register


def content(name: str, told: str, data: bytes) -> None:
    """Register a file of these bytes; its suffix is that of a checkpoint."""

    def make(folder: Path) -> Path:
        path = folder / "model.bin"
        path.write_bytes(data)
        return path

    CASES[name] = (make, told)


def saved(name: str, told: str, make_object: Callable[[], Any], **options: Any) -> None:
    """Register what torch.save writes of an object, in both of its formats."""

    def maker(zipped: bool) -> Make:
        def make(folder: Path) -> Path:
            torch.save(make_object(), folder / "model.pt", _use_new_zipfile_serialization=zipped, **options)
            return folder / "model.pt"

        return make

    CASES[f"{name}, zip"] = (maker(True), told)
    CASES[f"{name}, legacy"] = (maker(False), told)


# Paths


@case("missing", "no such file; check the path")
def _(folder: Path) -> Path:
    return folder / "missing.pt"


@case("below a file", r"cannot be read \(Not a directory\)")
def _(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "model.pt"


@case("longer than any name", r"cannot be read \(File name too long\)")
def _(folder: Path) -> Path:
    return folder / ("x" * 5000)


@case("link to nowhere", "no such file")
def _(folder: Path) -> Path:
    (folder / "model.pt").symlink_to("nowhere")
    return folder / "model.pt"


@case("link to itself", r"cannot be read \(Too many levels of symbolic links\)")
def _(folder: Path) -> Path:
    (folder / "model.pt").symlink_to("model.pt")
    return folder / "model.pt"


@case("pipe", "not a regular file")
def _(folder: Path) -> Path:
    os.mkfifo(folder / "model.pt")
    return folder / "model.pt"


@case("device", "not a regular file")
def _(folder: Path) -> Path:
    return Path("/dev/zero")


@case("without permission", r"cannot be read \(Permission denied\)")
def _(folder: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind this user")
    torch.save(GOOD, folder / "model.pt")
    (folder / "model.pt").chmod(0)
    return folder / "model.pt"


# Foreign formats

content("empty", "the file is empty; copy or save it again", b"")
content("GGUF", "this is a GGUF file", b"GGUF\3\0\0\0" + bytes(100))
content("HDF5", "this is an HDF5 file", b"\x89HDF\r\n\x1a\n" + bytes(100))
content("ONNX 3", "this is an ONNX model", b"\x08\x03\x12\x07pytorch\x1a\x030.4" + bytes(100))
content("ONNX 8", "this is an ONNX model", b"\x08\x08\x3a\x90\x01" + bytes(100))
content("gzip", "this is a gzip archive; unpack it", gzip.compress(bytes(100)))
content(
    "LFS pointer",
    "Git LFS pointer: the checkpoint itself is not here; run `git lfs pull`",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
)
content("web page", "this is a web page", b"\n<!DOCTYPE html><html><body>404</body></html>")
content("text", "not a checkpoint in a format that nfn reads", b"hello\n" * 20)
content("random bytes", "not a checkpoint in a format that nfn reads", bytes(range(255, 100, -1)))
content("one byte", "not a checkpoint in a format that nfn reads", b"\0")
content("JSON list", "not a checkpoint in a format that nfn reads", b'["weight_map"]')
content("JSON configuration", "JSON without a weight_map", b'{"hidden_size": 768}')
content("no archive", "a truncated or damaged archive", b"PK\3\4" + bytes(100))


@case("NumPy array", "this is a NumPy array")
def _(folder: Path) -> Path:
    np.save(folder / "model.npy", np.eye(3))
    return folder / "model.npy"


@case("NumPy archive", "a zip archive that torch.save did not write")
def _(folder: Path) -> Path:
    np.savez(folder / "model.npz", weight=np.eye(3))
    return folder / "model.npz"


def zipped(folder: Path, *names: str) -> Path:
    with zipfile.ZipFile(folder / "model.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return folder / "model.zip"


@case("Stable-Baselines3", "a Stable-Baselines3 archive; policy.pth inside is the network; unzip it")
def _(folder: Path) -> Path:
    return zipped(folder, "data", "pytorch_variables.pth", "policy.pth", "_stable_baselines3_version")


@case("archive of checkpoints", r"a zip archive of checkpoints \(runs/a\.pth, runs/b\.safetensors\); unzip it")
def _(folder: Path) -> Path:
    return zipped(folder, "runs/a.pth", "runs/b.safetensors", "runs/log.txt")


@case("tar archive", "not a checkpoint in a format that nfn reads")
def _(folder: Path) -> Path:
    (folder / "storages").write_bytes(b"x")
    with tarfile.open(folder / "model.pt", "w") as archive:
        archive.add(folder / "storages", "storages")
    return folder / "model.pt"


@case("TorchScript", "this is a TorchScript archive, which holds code")
def _(folder: Path) -> Path:
    module = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2), check_trace=False)
    torch.jit.save(module, folder / "model.pt")
    return folder / "model.pt"


@case("compressed again", "packed again, with compression")
def _(folder: Path) -> Path:
    torch.save(GOOD, folder / "plain.pt")
    with (
        zipfile.ZipFile(folder / "plain.pt") as source,
        zipfile.ZipFile(folder / "model.pt", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return folder / "model.pt"


# Safetensors headers that lie


def lie(name: str, told: str, header: Any, body: bytes = b"", *, length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    content(
        f"safetensors, {name}",
        f"the safetensors header does not fit the file.*{told}",
        (len(text) if length is None else length).to_bytes(8, "little") + text + body,
    )


def entry(*shape: int, offsets: tuple[int, int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


lie("header longer than the file", "header", b"{}", length=1000)
lie("header longer than any memory", "too large", b"{}", length=2**64 - 1)
lie("header of 4 GB", "too large", b"{}", length=2**32 - 1)
lie("header shorter than its text", "JSON", {"a": entry(2, 2, offsets=(0, 16))}, bytes(16), length=9)
lie("no JSON", "JSON", b"{this is not JSON}")
lie("not UTF-8", "UTF-8", b'{"\xff": 1}')
lie("deep JSON", "recursion", b'{"a":' * 1000)
lie("offsets beyond the file", "", {"a": entry(4, 4, offsets=(0, 64))}, bytes(16))
lie("data beyond the offsets", "", {"a": entry(2, 2, offsets=(0, 16))}, bytes(32))
lie("overlap", "offset", {"a": entry(2, 2, offsets=(0, 16)), "b": entry(2, 2, offsets=(8, 24))}, bytes(24))
lie("a hole", "offset", {"a": entry(2, 2, offsets=(8, 24))}, bytes(24))
lie("offsets backwards", "", {"a": entry(2, 2, offsets=(16, 0))}, bytes(16))
lie("negative offsets", "", {"a": entry(2, 2, offsets=(-16, 0))}, bytes(16))
lie("shape against offsets", "shape", {"a": entry(3, 3, offsets=(0, 16))}, bytes(16))
lie("kind of number against offsets", "data type", {"a": entry(2, 2, offsets=(0, 16), dtype="F64")}, bytes(16))
lie("unknown kind of number", "F128", {"a": entry(2, 2, offsets=(0, 16), dtype="F128")}, bytes(16))
lie("shape beyond all numbers", "", {"a": entry(2**62, 2**62, offsets=(0, 16))}, bytes(16))
lie("negative shape", "", {"a": entry(-2, -2, offsets=(0, 16))}, bytes(16))
lie("entries of another form", "JSON", {"a": [1, 2, 3]})
lie(
    "a name that commands the terminal",
    r"b\\x1b\[2J",
    {"a": entry(2, 2, offsets=(0, 16)), "b\x1b[2J": entry(2, 2, offsets=(8, 24))},
    bytes(24),
)

content(
    "safetensors, empty header",
    "no weight matrix among its 0 tensors",
    b"\2\0\0\0\0\0\0\0{}",
)
content(
    "safetensors, population",
    "a packed population of 7 networks; read it with `nfn train`",
    (lambda text: len(text).to_bytes(8, "little") + text + bytes(16))(
        json.dumps({"__metadata__": {"nfn.population": "7"}, "a": entry(4, 1, offsets=(0, 16))}).encode()
    ),
)
for dtype, size in (("F8_E4M3", 4), ("F8_E5M2", 4), ("F4", 2), ("C64", 32)):
    content(
        f"safetensors, {dtype}",
        "tensor 'a' is complex" if dtype == "C64" else "tensor 'a' is quantized|does not fit the file",
        (lambda text, size: len(text).to_bytes(8, "little") + text + bytes(size))(
            json.dumps({"a": entry(2, 2, offsets=(0, size), dtype=dtype)}).encode(), size
        ),
    )

# More, or less, than tensors

PICKLED = (
    r"it holds a pickled object \(torch\.nn\.modules\.linear\.Linear\) in place of a state dict; .*; save the state"
)
saved("whole module", PICKLED, lambda: torch.nn.Linear(2, 2))
saved("whole module in an entry", PICKLED, lambda: {"model": torch.nn.Linear(2, 2), "ema": GOOD, "epoch": 3})
saved("whole module in an unknown entry", PICKLED, lambda: {"mine": torch.nn.Linear(2, 2), "epoch": 3})
saved(
    "whole module beside a state dict",
    r"several entries could be the model \(a, b\)",
    lambda: {"a": torch.nn.Linear(2, 2), "b": GOOD},
)
saved(
    "array among the tensors",
    r"its entry 'fc.mask' is a pickled object \(numpy\..*_reconstruct\) beside the tensors",
    lambda: {**GOOD, "fc.mask": np.eye(3)},
)
saved(
    "parameter without a shape",
    r"its entry 'lazy' is a pickled object \(torch\.nn\.parameter\.UninitializedParameter\)",
    lambda: {**GOOD, "lazy": torch.nn.UninitializedParameter()},
)
saved("lazily negated", "tensor 'n' is a lazy view", lambda: {**GOOD, "n": (torch.eye(3) + 1j).conj().imag})
saved("state dict of arrays", r"a pickled object \(numpy\.", lambda: {"model": {"fc": np.eye(3)}, "mine": GOOD})
saved("tensors in a dictionary of another class", r"\(collections\.defaultdict\)", lambda: defaultdict(None, GOOD))
saved("a tensor", "holds a single tensor; save the whole state dict", lambda: torch.eye(3))
saved("a list", r"no state dict in it \(it holds: list\)", lambda: [GOOD])
saved("no tensor", r"no state dict in it \(it holds: epoch\)", lambda: {"epoch": 3})
saved("two models", r"several entries could be the model \(a, b\)", lambda: {"a": GOOD, "b": dict(GOOD)})
saved("vectors only", "no weight matrix among its 1 tensors", lambda: {"bias": torch.ones(3)})
saved(
    "integers only",
    r"all its matrices are of integers \(tensor 'table' is int64\); give",
    lambda: {"table": torch.ones(3, 3, dtype=torch.int64), "bias": torch.ones(3)},
)
for dtype in (torch.int8, torch.uint8):
    saved(
        f"weights of {dtype}",
        r"a quantized network \(tensor 'fc.weight' is a matrix of u?int8\); give the checkpoint .* before it",
        lambda dtype=dtype: {"fc.weight": torch.ones(3, 3, dtype=dtype), "emb": torch.eye(3)},
    )
saved(
    "GPTQ",
    r"a quantized network \(tensor 'fc.qweight' is a matrix of int32\)",
    lambda: {"fc.qweight": torch.ones(3, 3, dtype=torch.int32), "fc.scales": torch.eye(3)},
)
saved(
    "PyTorch's quantized modules",
    r"a network of PyTorch's quantized modules \('fc._packed_params.dtype'\)",
    lambda: {
        "fc.scale": torch.tensor(1.0),
        "fc._packed_params.dtype": torch.qint8,
        "fc._packed_params._packed_params": (quantized(), torch.ones(3)),
    },
)
OPTIMIZER = {"state": {0: {"exp_avg": torch.eye(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
saved("optimizer only", r"only an optimizer's state in it \(it holds: state, param_groups\)", lambda: OPTIMIZER)
saved("optimizer under a name of its own", "no state dict in it", lambda: {"adam": OPTIMIZER})
saved("matrix without entries", "no weight matrix among its 1 tensors", lambda: {"weight": torch.ones(0, 3)})


def quantized() -> Tensor:
    return torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8)


saved("quantized", "tensor 'q' is quantized; save dense real weights", lambda: {**GOOD, "q": quantized()})
saved(
    "float8",
    r"tensor 'q' is quantized \(float8_e4m3fn\)|unknown kind of file",
    lambda: {"q": torch.eye(3).to(torch.float8_e4m3fn)},
)
saved("sparse", "tensor 's' is sparse; save dense", lambda: {**GOOD, "s": torch.eye(3).to_sparse()})
saved("sparse rows", "tensor 's' is sparse; save dense", lambda: {**GOOD, "s": torch.eye(3).to_sparse_csr()})
saved("complex", "tensor 'c' is complex; save dense", lambda: {**GOOD, "c": torch.eye(3, dtype=torch.complex64)})
saved("meta", r"tensor 'm' is without data \(on the meta", lambda: {**GOOD, "m": torch.empty(3, 3, device="meta")})
saved(
    "nested",
    "tensor 'n' is nested; save dense|unknown kind of file",
    lambda: {**GOOD, "n": torch.nested.nested_tensor([torch.ones(2, 2), torch.ones(3, 2)])},
)
saved("repeated by strides", "tensor 'w' claims 1000000 entries", lambda: {"w": torch.zeros(1).expand(1000, 1000)})

# Weights that are not finite

NAN, INF = float("nan"), float("inf")
saved(
    "NaN",
    "tensor 'fc.bias' holds 2 NaN of 3 values; use a checkpoint from before training diverged",
    lambda: {**GOOD, "fc.bias": torch.tensor([NAN, 1, NAN])},
)
saved(
    "NaN and Inf",
    "tensor 'fc.bias' holds 1 NaN and 2 Inf of 4 values",
    lambda: {**GOOD, "fc.bias": torch.tensor([NAN, INF, -INF, 0])},
)
for half in (torch.float16, torch.bfloat16, torch.float64):
    saved(
        f"Inf in {half}",
        "tensor 'fc.weight' holds 9 Inf of 9 values",
        lambda half=half: {"fc.weight": torch.full((3, 3), INF, dtype=half)},
    )
saved(
    "several tensors not finite",
    "tensor 'a' holds 1 NaN of 1 values, and 2 more tensors are not finite",
    lambda: {"a": torch.full((1, 1), NAN), "b": torch.eye(2), "c": torch.full((2,), NAN), "d": torch.full((2,), INF)},
)
saved(
    "a name that commands the terminal",
    r"tensor 'x\\x1b\[2J' holds 1 NaN",
    lambda: {"x\x1b[2J": torch.full((1, 1), NAN)},
)


@case("safetensors, NaN", "tensor 'fc.weight' holds 1 NaN of 4 values")
def _(folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file({"fc.weight": torch.tensor([[1.0, NAN], [2.0, 3.0]])}, folder / "model.safetensors")
    return folder / "model.safetensors"


# Sharded


def index(name: str, told: str, shard: str) -> None:
    def make(folder: Path) -> Path:
        torch.save(GOOD, folder / "outside.bin")
        inside = folder / "model"
        inside.mkdir()
        (inside / "link.bin").symlink_to(folder / "outside.bin")
        (inside / "empty.bin").touch()
        os.mkfifo(inside / "pipe.bin")
        path = inside / "model.index.json"
        path.write_text(json.dumps({"weight_map": {"fc.weight": shard.format(folder=folder)}}))
        return path

    CASES[f"index, {name}"] = (make, told)


index("upwards", r"outside its folder \('\.\./outside\.bin'\); do not trust", "../outside.bin")
index("absolute", "the index points outside its folder", "{folder}/outside.bin")
index("link", "the shard 'link.bin' is a link that leads out of the folder", "link.bin")
index("missing shard", "the shard 'missing.bin' is missing; download the whole checkpoint", "missing.bin")
index("itself", "an index where a shard should be", "model.index.json")
index("damaged shard", "the file is empty", "empty.bin")
index("pipe", "not a regular file", "pipe.bin")
SUBJECTS = {"index, damaged shard": "empty.bin", "index, pipe": "pipe.bin"}

# Pickles that would run something: here, make the file `ran`


class Payload:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.marker = str(folder / "ran")

    def __reduce__(self) -> Any:
        return open, (self.marker, "w")


class SystemPayload(Payload):
    """The same by the module `os`, which PyTorch blocks by another rule."""

    def __reduce__(self) -> Any:
        return os.mkdir, (self.marker,)


def with_data_pkl(folder: Path, data: bytes) -> Path:
    """A PyTorch file whose object is this pickle."""
    torch.save(GOOD, folder / "plain.pt")
    with zipfile.ZipFile(folder / "plain.pt") as source, zipfile.ZipFile(folder / "model.pt", "w") as target:
        for name in source.namelist():
            target.writestr(name, data if name.endswith("/data.pkl") else source.read(name))
    (folder / "plain.pt").unlink()
    return folder / "model.pt"


def with_legacy_pickle(folder: Path, number: int) -> Path:
    """A legacy file is five pickles and the data: replace one of the pickles."""
    whole = io.BytesIO()
    torch.save(GOOD, whole, _use_new_zipfile_serialization=False)
    whole.seek(0)

    class Skipper(pickle.Unpickler):
        def persistent_load(self, _: Any) -> Any:
            return torch.storage.TypedStorage(0)

    ends = [0]
    for _ in range(5):
        Skipper(whole).load()
        ends.append(whole.tell())
    data = whole.getvalue()
    payload = pickle.dumps(Payload(folder), protocol=2)
    (folder / "model.pt").write_bytes(data[: ends[number]] + payload + data[ends[number + 1] :])
    return folder / "model.pt"


def attack(name: str, told: str, make: Make) -> None:
    CASES[f"attack, {name}"] = (make, told)


def save_with(payload: type[Payload], suffix: str = ".pt", **options: Any) -> Make:
    def make(folder: Path) -> Path:
        path = folder / f"model{suffix}"
        torch.save({"state_dict": GOOD, "hyper_parameters": {"x": payload(folder)}}, path, **options)
        return path

    return make


def bare(protocol: int) -> Make:
    def make(folder: Path) -> Path:
        (folder / "model.pkl").write_bytes(pickle.dumps(Payload(folder), protocol=protocol))
        return folder / "model.pkl"

    return make


def inside(protocol: int) -> Make:
    return lambda folder: with_data_pkl(folder, pickle.dumps(Payload(folder), protocol=protocol))


def old_instance(folder: Path) -> Path:
    return with_data_pkl(folder, f"(S'{folder / 'ran'}'\nS'w'\niio\nopen\n.".encode())


def shard(folder: Path) -> Path:
    save_with(Payload, ".bin")(folder)
    path = folder / "model.bin.index.json"
    path.write_text(json.dumps({"weight_map": {"fc.weight": "model.bin"}}))
    return path


LOADED = "which could run code; it was not loaded; save the state dict instead"
for legacy in (False, True):
    where = "legacy" if legacy else "zip"
    for suffix in (".pt", ".safetensors", ".index.json"):
        make = save_with(Payload, suffix, _use_new_zipfile_serialization=not legacy)
        attack(f"{where}{suffix}", rf"it holds more than tensors \(_?io\.open\), {LOADED}", make)
    make = save_with(SystemPayload, _use_new_zipfile_serialization=not legacy)
    attack(f"{where}, os", rf"it holds more than tensors \({os.name}\w*\.mkdir\), {LOADED}", make)
for protocol in range(6):
    # Before protocol 2, a pickle has no mark to tell it by.
    told = "this is a bare pickle, .*; it was not loaded" if protocol > 1 else "not a checkpoint in a format"
    attack(f"bare pickle, protocol {protocol}", told, bare(protocol))
    attack(f"data.pkl, protocol {protocol}", "more than tensors|does not load safely", inside(protocol))
attack("data.pkl, old instance", "does not load safely .*; it was not loaded", old_instance)
attack("legacy, in place of the magic number", "bare pickle", lambda folder: with_legacy_pickle(folder, 0))
for number, place in ((1, "version"), (2, "system"), (3, "object"), (4, "keys")):
    attack(f"legacy, in place of the {place}", LOADED, lambda folder, number=number: with_legacy_pickle(folder, number))
attack("shard", rf"it holds more than tensors \(_?io\.open\), {LOADED}", shard)
SUBJECTS["attack, shard"] = "model.bin"


@pytest.fixture(params=CASES)
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> Bad:
    make, told = CASES[request.param]
    path = make(tmp_path)
    return Bad(path, told, path.with_name(SUBJECTS.get(request.param, path.name)))


@pytest.mark.filterwarnings("ignore")
def test_a_bad_file_is_refused_with_file_cause_and_remedy(bad: Bad, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=bad.told) as refusal:
        read_checkpoint(bad.path)
    error = refusal.value
    assert error.subject == str(bad.subject)
    assert error.cause and error.remedy
    assert len(error.cause) < 500
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")
def test_a_bad_file_is_refused_when_it_is_opened_or_its_tensors_are_read(bad: Bad, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=bad.told.removesuffix(", and 2 more tensors are not finite")) as refusal:
        list(open_checkpoint(bad.path).tensors.values())
    error = refusal.value
    assert error.subject == str(bad.subject)
    assert error.cause and error.remedy
    assert len(error.cause) < 500
    assert not (tmp_path / "ran").exists()


@pytest.mark.filterwarnings("ignore")
def test_the_command_tells_a_bad_file_in_one_line_and_a_row(bad: Bad, nfn: Nfn, tmp_path: Path) -> None:
    code, out, err = nfn("predict-accuracy", bad.path, "--format", "jsonl", "--device", "cpu")
    assert code == 3
    assert err.startswith(f"nfn: {bad.path}: ")
    assert f"{bad.subject}: " in err
    assert err.count("\n") == 1 and err.endswith("\n")
    assert "\x1b" not in err + out
    (row,) = map(json.loads, out.splitlines())
    assert row["path"] == str(bad.path)
    assert f"nfn: {row['error']}\n" == err
    assert [value for name, value in row.items() if name not in ("path", "error")] == [None] * 6
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("payload", [Payload, SystemPayload])
def test_the_payloads_of_these_tests_do_run_where_pickles_are_trusted(payload: type[Payload], tmp_path: Path) -> None:
    path = save_with(payload)(tmp_path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


def test_a_path_that_no_system_has_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"cannot be read \([\w: ]*embedded null [\w ]+\)"):
        read_checkpoint("model\0.pt")
