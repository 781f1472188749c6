"""Checkpoints that are opened are written tensor by tensor: no more than one is in memory, however large the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import PartedTensors, TensorMap, open_checkpoint, read_checkpoint, rewrite_checkpoint
from nfn_cli.errors import CheckpointError

LAYOUTS = ("safetensors", "zip", "legacy", "shards", "shards of zips")
MEGABYTE = 1 << 20
SIZE, TENSORS, SHARDS = 2 * MEGABYTE, 32, 2  # bytes of a tensor
ALLOWED = SIZE + 16 * MEGABYTE


def save(folder: Path, layout: str, tensors: dict[str, Tensor], shards: int = 2) -> Path:
    """A checkpoint in one of the layouts."""
    folder.mkdir()
    if not layout.startswith("shards"):
        path = folder / "model"
        if layout == "safetensors":
            save_file(tensors, path, {"note": "kept"})
        else:
            torch.save({"state_dict": tensors, "epoch": 3}, path, _use_new_zipfile_serialization=layout == "zip")
        return path
    weight_map = {name: f"{number % shards}.shard" for number, name in enumerate(tensors)}
    for shard in set(weight_map.values()):
        own = {name: tensors[name].clone() for name in tensors if weight_map[name] == shard}
        save_file(own, folder / shard) if layout == "shards" else torch.save(own, folder / shard)
    index = folder / "model.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    return index


def state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "model.fc1.weight": torch.randn(9, 4, generator=generator).bfloat16(),
        "model.fc1.bias": torch.randn(9, generator=generator),
        "model.fc2.weight": torch.randn(3, 9, generator=generator).half(),
        "model.steps": torch.tensor(7),
        "model.mask": torch.tensor([True, False]),
        "model.none": torch.zeros(0, 2),
    }


class Negated(PartedTensors):
    """Some tensors, each negated when it is asked for; in float64, or in parts of two rows as they are."""

    def __init__(self, tensors: TensorMap, names: list[str], parted: bool) -> None:
        self.tensors = tensors
        self.names = names
        self.parted = parted

    def __getitem__(self, name: str) -> Tensor:
        return -self.tensors[name].double()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def parts(self, name: str) -> Iterator[Tensor]:
        if self.parted:
            yield from (part.neg_() for part in self.tensors.parts(name, 2))
        else:
            yield self[name]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("parted", [True, False])
def test_what_is_written_of_an_opened_checkpoint_is_what_is_written_of_a_read_one(
    layout: str, parted: bool, tmp_path: Path
) -> None:
    path, names = save(tmp_path / "in", layout, state()), ["fc1.weight", "fc2.weight"]
    opened, read = open_checkpoint(path), read_checkpoint(path)
    for folder in ("expected", "found", "same"):
        (tmp_path / folder).mkdir()
    rewrite_checkpoint(read, {name: -read.tensors[name] for name in names}, tmp_path / "expected" / path.name)
    assert isinstance(opened.tensors, TensorMap)
    rewrite_checkpoint(opened, Negated(opened.tensors, names, parted), tmp_path / "found" / path.name)
    if layout == "legacy":  # comes out as an archive with a name of its own in it
        own, other = (
            torch.load(tmp_path / folder / "model", weights_only=True)["state_dict"] for folder in ("found", "expected")
        )
        assert list(own) == list(other) and all(torch.equal(own[name], other[name]) for name in own)
    else:
        assert contents(tmp_path / "found") == contents(tmp_path / "expected") != contents(path.parent)
        rewrite_checkpoint(opened, {}, tmp_path / "same" / path.name)
        assert contents(tmp_path / "same") == contents(path.parent)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_numbers_that_are_not_finite_are_not_copied_either(layout: str, tmp_path: Path) -> None:
    broken = state()
    broken["model.fc2.weight"][1, 2] = torch.inf
    path = save(tmp_path / "in", layout, broken)
    out = tmp_path / "out" / path.name
    out.parent.mkdir()
    opened = open_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"tensor 'fc2.weight' holds 1 Inf of 27 values"):
        rewrite_checkpoint(opened, {"fc1.bias": torch.zeros(9)}, out)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_changes_before_all_is_written_leaves_nothing(layout: str, tmp_path: Path) -> None:
    path = save(tmp_path / "in", layout, state())
    source = path.with_name("1.shard") if layout.startswith("shards") else path
    out = tmp_path / "out" / path.name
    out.parent.mkdir()
    opened = open_checkpoint(path)
    source.write_bytes(source.read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"the file has changed since it was read"):
        rewrite_checkpoint(opened, {"fc1.weight": torch.zeros(9, 4)}, out)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("layout", ["safetensors", "shards"])
@pytest.mark.parametrize("rows", [8, 10])
def test_parts_that_are_not_the_whole_tensor_are_not_written(layout: str, rows: int, tmp_path: Path) -> None:
    path = save(tmp_path / "in", layout, state())
    out = tmp_path / "out" / path.name
    out.parent.mkdir()
    with pytest.raises(ValueError, match=r"model\.fc1\.weight"):
        rewrite_checkpoint(open_checkpoint(path), {"fc1.weight": torch.zeros(rows, 4)}, out)
    assert not list(out.parent.iterdir())


class OneByOne(Mapping[str, Tensor]):
    """Tensors each of which is made when it is asked for, and must be gone when the next one is."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors
        self.last: Callable[[], Tensor | None] = lambda: None
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Tensor:
        assert self.last() is None, f"{self.asked[-1]} is kept"
        made = self.tensors[name] + 1
        self.last = weakref.ref(made)
        self.asked.append(name)
        return made

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


@pytest.mark.parametrize("layout", ["safetensors", "zip", "shards", "shards of zips"])
def test_tensors_are_made_one_after_the_other(layout: str, tmp_path: Path) -> None:
    tensors = {f"{number}.weight": torch.full((3, 3), float(number)) for number in range(6)}
    path = save(tmp_path / "in", layout, tensors)
    out = tmp_path / "out" / path.name
    out.parent.mkdir()
    made = OneByOne(tensors)
    rewrite_checkpoint(open_checkpoint(path), made, out)
    assert sorted(made.asked) == sorted(tensors)
    assert all(torch.equal(tensor, tensors[name] + 1) for name, tensor in read_checkpoint(out).tensors.items())


# Run by itself: another process's largest resident set would count. It says by how many bytes the set has grown after
# each checkpoint; the last one is read in the other way, which maps its file.
MEASURE = """
import sys
from pathlib import Path
from nfn_cli.checkpoints import PartedTensors, open_checkpoint, read_checkpoint, rewrite_checkpoint

class Doubled(PartedTensors):
    def __init__(self, tensors):
        self.tensors = tensors
    def __getitem__(self, name):
        return self.tensors[name].mul_(2)
    def __iter__(self):
        return (name for name in self.tensors if not name.endswith("0"))
    def __len__(self):
        return sum(1 for _ in self)
    def parts(self, name):
        yield self[name]

def largest():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

def rewrite(path):
    out = path.parent.parent / f"{path.parent.name} out" / path.name
    out.parent.mkdir()
    checkpoint = open_checkpoint(path)
    rewrite_checkpoint(checkpoint, Doubled(checkpoint.tensors), out)

warm, large = sys.argv[1].split(","), sys.argv[2].split(",")
for path in warm:
    rewrite(Path(path))
before = largest()
for path in large:
    rewrite(Path(path))
    print(largest() - before)
read_checkpoint(Path(large[0]))
print(largest() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process's largest set")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    tensors = {f"{number}": torch.full((SIZE // 4096, 1024), 1.0) for number in range(TENSORS)}
    layouts = ("safetensors", "shards", "zip")
    small = {name: tensor[:4].clone() for name, tensor in tensors.items()}
    warm = [save(tmp_path / f"small {layout}", layout, small, SHARDS) for layout in layouts]
    large = [save(tmp_path / layout, layout, tensors, SHARDS) for layout in layouts]
    command = [sys.executable, "-c", MEASURE, ",".join(map(str, warm)), ",".join(map(str, large))]
    # Large blocks are given back when they are freed: what counts is what is held, not holes between blocks.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    *grown, read = map(int, done.stdout.split())
    assert len(grown) == len(layouts) and max(grown) < ALLOWED, grown
    assert read > ALLOWED  # the measure sees it
    found = read_checkpoint(tmp_path / "safetensors out" / "model").tensors
    assert all(torch.equal(found[name], tensor * (1 if name.endswith("0") else 2)) for name, tensor in tensors.items())
