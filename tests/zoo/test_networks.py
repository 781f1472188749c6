"""Reading labelled networks, from single and packed files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.errors import ArchitectureError, CheckpointError, DataError, NfnError
from nfn_cli.zoo import read_networks, read_unlabelled

Tensors = dict[str, Tensor]
Rows = Sequence[tuple[object, ...]]
WriteLabels = Callable[[Rows], Path]


def mlp(seed: int, hidden: int = 3, names: tuple[str, str] = ("0", "2")) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    first, second = names
    return {
        f"{first}.weight": torch.randn(hidden, 2, generator=generator),
        f"{first}.bias": torch.randn(hidden, generator=generator),
        f"{second}.weight": torch.randn(1, hidden, generator=generator),
        f"{second}.bias": torch.randn(1, generator=generator),
    }


def save(path: Path, tensors: Mapping[str, Tensor], activation: str | None = "relu", **metadata: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), path, metadata | ({"activation": activation} if activation else {}))


def save_packed(path: Path, members: Sequence[Tensors], **metadata: str) -> None:
    stacked = {name: torch.stack([member[name] for member in members]) for name in members[0]}
    save(path, stacked, **{"nfn.population": str(len(members))} | metadata)


@pytest.fixture
def write_labels(tmp_path: Path) -> WriteLabels:
    """Write labels.csv from rows of file, index, run and accuracy."""

    def call(rows: Rows) -> Path:
        lines = ["file,index,run,test_accuracy", *(",".join(map(str, row)) for row in rows)]
        (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    return call


def refusal(error: type[NfnError], *arguments: Path, **options: str) -> str:
    with pytest.raises(error) as refused:
        read_networks(*arguments, **options)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_networks_come_in_the_order_of_the_rows(write_labels: WriteLabels, tmp_path: Path) -> None:
    members = [mlp(seed) for seed in range(5)]
    save_packed(tmp_path / "pack.safetensors", members[:3])
    save(tmp_path / "one.safetensors", members[3])
    save(tmp_path / "sub" / "two.safetensors", members[4])
    folder = write_labels(
        [
            ("pack.safetensors", 2, "a", 0.1),
            ("sub/two.safetensors", "", "b", 0.2),
            ("pack.safetensors", 0, "a", 0.3),
            ("one.safetensors", "", "c", 0.4),
            ("pack.safetensors", 1, "b", 0.5),
            ("one.safetensors", "", "c", 0.6),
        ]
    )
    networks = read_networks(folder)
    assert len(networks) == 6
    assert networks.targets.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert networks.runs == ("a", "b", "a", "c", "b", "c")
    assert networks.files[1] == "sub/two.safetensors"
    for name, tensor in networks.point.tensors.items():
        assert torch.equal(tensor, torch.stack([members[i][name] for i in (2, 4, 0, 3, 1, 3)]))


def test_selecting_keeps_networks_and_labels_together(write_labels: WriteLabels, tmp_path: Path) -> None:
    members = [mlp(seed) for seed in range(4)]
    save_packed(tmp_path / "pack.safetensors", members)
    networks = read_networks(write_labels([("pack.safetensors", i, f"r{i}", i / 10) for i in range(4)]))
    chosen = networks.select([3, 1])
    assert (chosen.runs, chosen.targets.tolist()) == (("r3", "r1"), [0.3, 0.1])
    assert torch.equal(chosen.point.tensors["0.weight"], torch.stack([members[i]["0.weight"] for i in (3, 1)]))
    assert len(networks.select([])) == 0


def test_a_packed_file_may_be_given_alone(write_labels: WriteLabels, tmp_path: Path) -> None:
    save_packed(tmp_path / "sub" / "a.safetensors", [mlp(0), mlp(1)])
    save_packed(tmp_path / "b.safetensors", [mlp(2)])
    rows = [("sub/a.safetensors", 1, 0, 0.1), ("b.safetensors", 0, 1, 0.2), ("sub/a.safetensors", 0, 2, 0.3)]
    table = write_labels(rows) / "labels.csv"
    networks = read_networks(tmp_path / "sub" / "a.safetensors", table)
    assert networks.targets.tolist() == [0.1, 0.3]
    assert torch.equal(networks.point.tensors["2.bias"][0], mlp(1)["2.bias"])
    assert read_networks(tmp_path / "b.safetensors").targets.tolist() == [0.2]


def test_networks_that_differ_in_names_alone_are_joined(write_labels: WriteLabels, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", mlp(0))
    save(tmp_path / "b.safetensors", mlp(1, names=("fc1", "fc2")))
    networks = read_networks(write_labels([("a.safetensors", "", 0, 0.1), ("b.safetensors", "", 1, 0.2)]))
    assert torch.equal(networks.point.tensors["0.weight"][1], mlp(1)["0.weight"])


def test_half_precision_is_read_as_float32(write_labels: WriteLabels, tmp_path: Path) -> None:
    members = [{name: tensor.half() for name, tensor in mlp(seed).items()} for seed in range(2)]
    save_packed(tmp_path / "pack.safetensors", members)
    save(tmp_path / "one.safetensors", members[0])
    networks = read_networks(write_labels([("pack.safetensors", 0, 0, 0.1), ("one.safetensors", "", 1, 0.2)]))
    for tensor in networks.point.tensors.values():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor[0], tensor[1])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("told", "options", "used"),
    [
        ("relu", {}, "relu"),
        ("relu", {"default_activation": "tanh"}, "relu"),
        ("relu", {"activation": "tanh"}, "tanh"),
        (None, {"default_activation": "tanh"}, "tanh"),
        (None, {"activation": "sin", "default_activation": "tanh"}, "sin"),
    ],
)
def test_the_activation_is_the_callers_else_the_files_else_the_default(
    told: str | None, options: dict[str, str], used: str, packed: bool, write_labels: WriteLabels, tmp_path: Path
) -> None:
    if packed:
        save_packed(tmp_path / "a.safetensors", [mlp(0)], **({"activation": told} if told else {}))
        if not told:
            stacked = {name: tensor[None] for name, tensor in mlp(0).items()}
            save(tmp_path / "a.safetensors", stacked, None, **{"nfn.population": "1"})
    else:
        save(tmp_path / "a.safetensors", mlp(0), told)
    folder = write_labels([("a.safetensors", 0 if packed else "", 0, 0.5)])
    assert read_networks(folder, **options).point.architecture.activation == used  # type: ignore[arg-type]


def test_an_activation_that_nobody_tells_is_asked_for(write_labels: WriteLabels, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", mlp(0), None)
    message = refusal(ArchitectureError, write_labels([("a.safetensors", "", 0, 0.5)]))
    assert "--activation" in message


@pytest.mark.parametrize("other", [mlp(1, hidden=4), {**mlp(1), "4.weight": torch.ones(1, 1), "4.bias": torch.ones(1)}])
def test_networks_of_several_architectures_are_refused(
    other: Tensors, write_labels: WriteLabels, tmp_path: Path
) -> None:
    save(tmp_path / "a.safetensors", mlp(0))
    save(tmp_path / "b.safetensors", other)
    message = refusal(DataError, write_labels([("a.safetensors", "", 0, 0.1), ("b.safetensors", "", 1, 0.2)]))
    assert message.startswith("b.safetensors: is linear 2->")
    assert "while a.safetensors is linear 2->3, linear 3->1 (relu); fit one head to networks of one arch" in message


def test_networks_of_several_activations_are_refused(write_labels: WriteLabels, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", mlp(0))
    save(tmp_path / "b.safetensors", mlp(1), "tanh")
    folder = write_labels([("a.safetensors", "", 0, 0.1), ("b.safetensors", "", 1, 0.2)])
    assert "(tanh), while a.safetensors is" in refusal(DataError, folder)
    assert read_networks(folder, activation="relu").runs == ("0", "1")


@pytest.mark.parametrize("name", ["../a.safetensors", "sub/../../a.safetensors", "{outside}/a.safetensors", "link"])
def test_a_file_outside_the_folder_is_never_read(name: str, write_labels: WriteLabels, tmp_path: Path) -> None:
    outside, inside = tmp_path, tmp_path / "zoo"
    save(outside / "a.safetensors", mlp(0))
    (inside / "sub").mkdir(parents=True)
    (inside / "link").symlink_to(outside / "a.safetensors")
    table = write_labels([(name.format(outside=outside), "", 0, 0.5)]) / "labels.csv"
    assert f"the labels point outside {inside};" in refusal(DataError, inside, table)


def test_a_listed_file_that_is_missing_is_named(write_labels: WriteLabels, tmp_path: Path) -> None:
    folder = write_labels([("gone.safetensors", "", 0, 0.5)])
    assert refusal(CheckpointError, folder).startswith(f"{folder / 'gone.safetensors'}: no such file;")
    write_labels([("gone.safetensors", 3, 0, 0.5)])
    assert refusal(DataError, folder).startswith(f"{folder / 'gone.safetensors'}: no such file, though the labels list")


def test_a_missing_folder_and_missing_labels_are_told_apart(tmp_path: Path) -> None:
    assert refusal(DataError, tmp_path / "gone") == (
        f"{tmp_path / 'gone'}: no such file or folder; give a zoo, or a folder of checkpoints"
    )
    assert refusal(DataError, tmp_path).startswith(f"{tmp_path / 'labels.csv'}: no such file;")


def test_a_lone_file_without_labels_is_named_itself(tmp_path: Path) -> None:
    lone = tmp_path / "a.safetensors"
    save_packed(lone, [mlp(0)])
    assert refusal(DataError, lone).startswith(f"{lone}: no labels of it in {tmp_path / 'labels.csv'};")


def test_a_packed_file_without_rows_is_refused(write_labels: WriteLabels, tmp_path: Path) -> None:
    save_packed(tmp_path / "a.safetensors", [mlp(0)])
    write_labels([("b.safetensors", 0, 0, 0.5)])
    assert "has no row for this file" in refusal(DataError, tmp_path / "a.safetensors")


@pytest.mark.parametrize("indices", [[0, 3], [0, -1], [0, ""], ["", 0]])
def test_indices_must_lie_in_the_population(indices: list[object], write_labels: WriteLabels, tmp_path: Path) -> None:
    save_packed(tmp_path / "a.safetensors", [mlp(0), mlp(1), mlp(2)])
    folder = write_labels([("a.safetensors", index, 0, 0.5) for index in indices])
    assert "the labels give an index outside 0 ... 2;" in refusal(DataError, folder)


def test_an_index_into_a_single_checkpoint_is_refused(write_labels: WriteLabels, tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", mlp(0))
    folder = write_labels([("a.safetensors", 0, 0, 0.5)])
    assert "no whole packed population, though the labels give an index; copy it again" in refusal(DataError, folder)


def test_a_packed_file_without_an_index_is_refused(write_labels: WriteLabels, tmp_path: Path) -> None:
    save_packed(tmp_path / "a.safetensors", [mlp(0)])
    assert "a packed population of 1" in refusal(CheckpointError, write_labels([("a.safetensors", "", 0, 0.5)]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_member_that_is_not_finite_is_refused_unless_left_out(
    value: float, write_labels: WriteLabels, tmp_path: Path
) -> None:
    members = [mlp(0), mlp(1)]
    members[1]["2.bias"].fill_(value)
    save_packed(tmp_path / "a.safetensors", members)
    folder = write_labels([("a.safetensors", 0, 0, 0.5), ("a.safetensors", 1, 1, 0.5)])
    assert "tensor '2.bias' of some member is not finite; remove the rows" in refusal(DataError, folder)
    assert len(read_networks(write_labels([("a.safetensors", 0, 0, 0.5)]))) == 1


@pytest.mark.parametrize("count", ["3", "0", "-1", "many"])
def test_a_wrong_population_count_is_refused(count: str, write_labels: WriteLabels, tmp_path: Path) -> None:
    save_packed(tmp_path / "a.safetensors", [mlp(0), mlp(1)], **{"nfn.population": count})
    message = refusal(DataError, write_labels([("a.safetensors", 0, 0, 0.5)]))
    assert "population" in message and message.startswith(str(tmp_path / "a.safetensors"))


@pytest.mark.parametrize("extra", [{"1.running_mean": torch.zeros(3), "1.running_var": torch.ones(3)}, None])
def test_packed_members_that_need_conversion_are_refused(
    extra: Tensors | None, write_labels: WriteLabels, tmp_path: Path
) -> None:
    member = mlp(0) | (extra or {})
    if extra is None:
        del member["0.bias"]
    save_packed(tmp_path / "a.safetensors", [member])
    assert "need conversion" in refusal(DataError, write_labels([("a.safetensors", 0, 0, 0.5)]))


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "], ids=repr)
def test_a_damaged_packed_file_is_refused(content: bytes, write_labels: WriteLabels, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    refusal(DataError, write_labels([("a.safetensors", 0, 0, 0.5)]))


def test_without_labels_every_network_counts_and_is_a_run_of_its_own(tmp_path: Path) -> None:
    save_packed(tmp_path / "packed.safetensors", [mlp(1), mlp(2)])
    save(tmp_path / "deep" / "single.safetensors", mlp(3))
    networks = read_unlabelled(tmp_path)
    assert networks.targets.isnan().all()
    assert len(set(networks.runs)) == len(networks) == 3
    first = sorted(networks.point.tensors["0.weight"][:, 0, 0].tolist())
    assert first == sorted(mlp(seed)["0.weight"][0, 0].item() for seed in (1, 2, 3))


def test_a_folder_that_cannot_be_read_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read_unlabelled(tmp_path / "none")
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        read_unlabelled(tmp_path)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0")
    with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
        read_unlabelled(tmp_path)


def test_accuracies_on_halves_are_kept_if_they_are_known_of_all(tmp_path: Path) -> None:
    save_packed(tmp_path / "pack.safetensors", [mlp(seed) for seed in range(3)])
    header = "file,index,test_accuracy,even_accuracy,odd_accuracy"
    rows = [f"pack.safetensors,{i},0.{i},0.{i}1,0.{i}2" for i in range(3)]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([header, *rows]) + "\n")
    networks = read_networks(tmp_path)
    assert networks.halves is not None and networks.halves.tolist() == [[0.01, 0.02], [0.11, 0.12], [0.21, 0.22]]
    chosen = networks.select([2, 0])
    assert chosen.halves is not None and chosen.halves.tolist() == [[0.21, 0.22], [0.01, 0.02]]
    table.write_text("\n".join([header, *rows[:2], "pack.safetensors,2,0.2,,"]) + "\n")
    assert read_networks(tmp_path).halves is None
    assert read_networks(tmp_path).select([0]).halves is None
