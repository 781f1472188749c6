"""Zoos of INRs as points in weight space: the networks of the table in its order, and nothing from outside."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nfn_cli.errors import DataError, NfnError
from nfn_cli.zoo import InrReport, InrSettings, LabelledNetworks, read_inrs

Generate = Callable[..., InrReport]
Settings = Callable[..., InrSettings]
HEADER = "file,index,label,split\n"


@pytest.fixture(params=[False, True], ids=["single", "packed"])
def zoo(request: pytest.FixtureRequest, generate: Generate, settings: Settings, tmp_path: Path) -> Path:
    """Nine networks, stored either way."""
    generate(tmp_path / "zoo", settings(packed=request.param))
    return tmp_path / "zoo"


@pytest.fixture
def packed(generate: Generate, settings: Settings, tmp_path: Path) -> Path:
    """Nine networks in parts of four."""
    generate(tmp_path / "packed", settings(packed=True))
    return tmp_path / "packed"


def relist(folder: Path, *rows: str) -> Path:
    (folder / "labels.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return folder


def refusal(folder: Path, labels: Path | None = None) -> str:
    with pytest.raises(NfnError) as refused:
        read_inrs(folder, labels)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def networks(zoo: LabelledNetworks) -> torch.Tensor:
    return torch.cat([tensor.flatten(1) for tensor in zoo.point.tensors.values()], 1)


def test_networks_come_in_the_order_of_the_table(zoo: Path) -> None:
    whole = read_inrs(zoo)
    lines = (zoo / "labels.csv").read_text().splitlines(keepends=True)
    (zoo / "labels.csv").write_text("".join([lines[0], *reversed(lines[1:])]))
    turned = read_inrs(zoo)
    for name in ("runs", "files", "splits"):
        assert getattr(turned, name) == tuple(reversed(getattr(whole, name)))
    assert torch.equal(networks(turned), networks(whole).flip(0))
    assert torch.equal(turned.targets, whole.targets.flip(0)) and turned.targets.dtype is torch.int64


def test_the_files_tell_activation_and_frequency(zoo: Path) -> None:
    architecture = read_inrs(zoo).point.architecture
    assert (architecture.activation, architecture.omega_0) == ("sin", 30.0)
    assert read_inrs(zoo, activation="tanh").point.architecture.activation == "tanh"


def test_another_frequency_is_kept(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    for packed in (False, True):
        generate(tmp_path / str(packed), settings(packed=packed, omega_0=12.5))
        assert read_inrs(tmp_path / str(packed)).point.architecture.omega_0 == 12.5


def test_a_part_holds_the_networks_of_its_pictures(zoo: Path) -> None:
    whole = read_inrs(zoo)
    train, test = whole.part("train"), whole.part("test")
    assert (len(train), len(test)) == (6, 3)
    assert torch.equal(networks(test), networks(whole)[[split == "test" for split in whole.splits]])
    assert len(whole.part("train").part("test")) == 0


def test_files_that_tell_no_activation_are_taken_for_sines(zoo: Path) -> None:
    alone = {name: tensor[0].clone() for name, tensor in read_inrs(zoo).point.tensors.items()}
    save_file(alone, zoo / "mine.safetensors")
    assert read_inrs(relist(zoo, "mine.safetensors,,0,train")).point.architecture.activation == "sin"


def test_labels_may_lie_elsewhere(zoo: Path, tmp_path: Path) -> None:
    whole = read_inrs(zoo)
    (tmp_path / "elsewhere").mkdir()
    table = tmp_path / "elsewhere" / "mine.csv"
    shutil.move(zoo / "labels.csv", table)
    assert torch.equal(networks(read_inrs(zoo, table)), networks(whole))


def test_files_outside_the_folder_are_refused(zoo: Path, tmp_path: Path) -> None:
    save_file({"0.weight": torch.zeros(1, 2)}, tmp_path / "outside.safetensors")
    (zoo / "link.safetensors").symlink_to(tmp_path / "outside.safetensors")
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "link.safetensors"):
        assert refusal(relist(zoo, f"{name},,0,train")).startswith(f"{name}: the labels point outside {zoo};")


def test_a_missing_file_is_named(zoo: Path) -> None:
    assert "none.safetensors: " in refusal(relist(zoo, "none.safetensors,,0,train"))
    assert f"{zoo / 'none.safetensors'}: no such file" in refusal(relist(zoo, "none.safetensors,0,0,train"))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the CSV reader itself refuses NUL")
def test_what_no_file_can_be_called_is_refused(zoo: Path) -> None:
    # Pythons word the cause differently.
    message = refusal(relist(zoo, "a\0b,,0,train"))
    assert re.fullmatch(r"a\\x00b: names no file \([\w: ]*embedded null [\w ]+\); mend the labels", message)


@pytest.mark.parametrize("index", [4, 10**6])
def test_an_index_beyond_a_packed_file_is_refused(index: int, packed: Path) -> None:
    message = refusal(relist(packed, f"part-00000.safetensors,{index},0,train"))
    assert "part-00000.safetensors: the labels give an index outside 0 ... 3; write the labels anew" in message


def test_rows_with_and_without_an_index_cannot_share_a_file(packed: Path) -> None:
    relist(packed, "part-00000.safetensors,0,0,train", "part-00000.safetensors,,0,train")
    assert "the labels give an index outside" in refusal(packed)


def test_an_index_of_a_single_file_is_refused(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path, settings())
    name = next(iter(tmp_path.glob("*.safetensors"))).name
    message = refusal(relist(tmp_path, f"{name},0,0,train"))
    assert "no whole packed population, though the labels give an index; copy it again" in message


def test_a_member_that_is_not_finite_is_refused_where_it_is_listed(packed: Path) -> None:
    path = packed / "part-00000.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors["layers.1.bias"][2, 1] = float("inf")
    save_file(tensors, path, metadata)
    relist(packed, "part-00000.safetensors,1,0,train", "part-00000.safetensors,2,0,train")
    assert "tensor 'layers.1.bias' of some member is not finite" in refusal(packed)
    assert len(read_inrs(relist(packed, "part-00000.safetensors,1,0,train"))) == 1


def test_several_architectures_are_refused(
    generate: Generate, settings: Settings, packed: Path, tmp_path: Path
) -> None:
    generate(tmp_path / "wide", settings(width=5, packed=True))
    shutil.copy(tmp_path / "wide" / "part-00001.safetensors", packed / "wide.safetensors")
    message = refusal(relist(packed, "part-00000.safetensors,0,0,train", "wide.safetensors,0,1,train"))
    assert "wide.safetensors: is linear 2->5" in message and "while part-00000.safetensors is linear 2->4" in message


def test_a_damaged_packed_file_is_refused(packed: Path) -> None:
    path = packed / "part-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    assert f"{path}: no whole packed population" in refusal(packed)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: no such folder; give a zoo of INRs"
    with pytest.raises(DataError, match=r"labels\.csv: no such file"):
        read_inrs(tmp_path)
