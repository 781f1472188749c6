"""Published sets of SIRENs, written here in miniature in exactly their layouts, become packed zoos."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from torch import Tensor, nn

import nfn_cli.zoo.published.packed_writer
from nfn_cli.architectures import functional_forward
from nfn_cli.architectures.network_weights import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.zoo import InrImportReport, InrSelection, import_sirens, read_inrs

Nfn = Callable[..., tuple[int, str, str]]
WIDTHS = (2, 4, 4, 1)


class NfnSiren(nn.Module):
    """As in AllanYangZhou/nfn: sine layers that hold a linear one, and a plain last layer."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths[:-1]):
            layer = nn.Module()
            layer.add_module("linear", nn.Linear(inputs, outputs))
            layers.append(layer)
        self.net = nn.Sequential(*layers, nn.Linear(*widths[-2:]))

    def forward(self, places: Tensor) -> Tensor:
        for layer in self.net[:-1]:
            places = torch.sin(30 * layer.linear(places))
        return self.net[-1](places)  # type: ignore[no-any-return]


class DwsInr(nn.Module):
    """As in AvivNavon/DWSNets: linear layers one behind the other, and one half added to what the last one gives."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.seq = nn.Sequential(*(nn.Linear(*pair) for pair in pairwise(widths)))

    def forward(self, places: Tensor) -> Tensor:
        for layer in self.seq[:-1]:
            places = torch.sin(30 * layer(places))
        return self.seq[-1](places) + 0.5  # type: ignore[no-any-return]


def save_class_file(folder: Path, number: int, label: int, prefix: str = "randinit_smaller") -> NfnSiren:
    """Write a network into the folder of its class, as Zhou et al. do."""
    torch.manual_seed(number)
    network = NfnSiren()
    own = folder / f"{prefix}_{label}s"
    own.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), own / f"net{number}.pth")
    return network


def trial_path(folder: Path, number: int, label: int | str, part: str = "training", data: str = "mnist_png") -> Path:
    return folder / f"{data}_{part}_{label}_{number}" / "checkpoints" / "model_final.pth"


def save_trial(folder: Path, number: int, label: int | str, part: str = "training", data: str = "mnist_png") -> DwsInr:
    """Write a network into a folder of its own, as Navon et al. do."""
    torch.manual_seed(number)
    network = DwsInr()
    path = trial_path(folder, number, label, part, data)
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)
    return network


def class_set(folder: Path) -> Path:
    """Pictures 0 to 5, of which two have another fit each; of three classes."""
    for number in range(6):
        save_class_file(folder, number, number % 3)
    save_class_file(folder, 1, 1, "randinit_smaller_aug0")
    save_class_file(folder, 4, 1, "randinit_smaller_aug3")
    return folder


def trial_set(folder: Path) -> Path:
    """Pictures 10 to 13 to train on, 10 and 11 to test on."""
    for number in range(10, 14):
        save_trial(folder, number, number % 2)
    for number in (10, 11):
        save_trial(folder, number, (number + 1) % 2, "testing")
    return folder


def split_file(path: Path, parts: Mapping[str, Sequence[tuple[str, str | int]]]) -> Path:
    """Write a split file as generate_data_splits.py does."""
    path.write_text(
        json.dumps({part: {"path": [p for p, _ in own], "label": [n for _, n in own]} for part, own in parts.items()})
    )
    return path


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def listed(folder: Path) -> list[tuple[str, str, str, str]]:
    return [(row["split"], row["image"], row["fit"], row["label"]) for row in rows(folder)]


def metadata(folder: Path) -> dict[str, str]:
    with safe_open(folder / "part-00000.safetensors", framework="pt") as file:
        return dict(file.metadata())


def record(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / "zoo.yaml").read_text())  # type: ignore[no-any-return]


def values(zoo: Path, index: int, places: Tensor) -> Tensor:
    """What a network of an imported zoo gives."""
    point = read_inrs(zoo).point
    own = NetworkWeights(point.architecture, {name: tensor[index] for name, tensor in point.tensors.items()})
    return functional_forward(own, places)


def refusal(folder: Path, out: Path, selection: InrSelection | None = None) -> str:
    """The one line that refuses an import, which leaves nothing behind."""
    with pytest.raises(DataError) as refused:
        import_sirens(folder, out, selection)
    assert len(str(refused.value).splitlines()) == 1
    assert not out.exists()
    return str(refused.value)


def test_class_folders_become_a_packed_zoo(tmp_path: Path) -> None:
    report = import_sirens(class_set(tmp_path / "set"), tmp_path / "zoo", InrSelection(test_from=4))
    assert report == InrImportReport(networks=8, test=3, pictures=6)
    assert listed(tmp_path / "zoo") == [
        ("test", "4", "0", "1"),
        ("test", "4", "4", "1"),
        ("test", "5", "0", "2"),
        ("train", "0", "0", "0"),
        ("train", "1", "0", "1"),
        ("train", "1", "1", "1"),
        ("train", "2", "0", "2"),
        ("train", "3", "0", "0"),
    ]
    # Fits to one picture may not be divided.
    assert [row["run"] for row in rows(tmp_path / "zoo")][:3] == ["test-4", "test-4", "test-5"]
    assert metadata(tmp_path / "zoo") == {
        "activation": "sin",
        "arch": "siren",
        "omega_0": "30",
        "value_range": "-1 1",
        "nfn.population": "8",
    }
    networks = read_inrs(tmp_path / "zoo")
    assert list(networks.point.tensors) == [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    assert networks.targets.tolist() == [1, 1, 2, 0, 1, 1, 2, 0]


def test_networks_of_class_folders_compute_as_published(tmp_path: Path) -> None:
    networks = [save_class_file(tmp_path / "set", number, 7) for number in range(3)]
    import_sirens(tmp_path / "set", tmp_path / "zoo")
    places = torch.rand(9, 2) * 2 - 1
    for number, network in enumerate(networks):
        torch.testing.assert_close(values(tmp_path / "zoo", number, places), network(places))


def test_networks_of_trials_come_to_take_the_row_first(tmp_path: Path) -> None:
    network = save_trial(tmp_path / "set", 10, 1)
    import_sirens(tmp_path / "set", tmp_path / "zoo")
    # `make_coordinates` of DWSNets: the first input runs fastest, so it is the column.
    side = torch.linspace(-1, 1, 5)
    columns, rows_ = torch.meshgrid(side, side, indexing="xy")
    picture = network(torch.stack([columns.flatten(), rows_.flatten()], 1)).view(5, 5)
    drawn = values(tmp_path / "zoo", 0, torch.cartesian_prod(side, side)).view(5, 5)
    # Such a trial's picture is what its network gives, plus a half; whatever the file's range, black is read as -1.
    assert metadata(tmp_path / "zoo")["value_range"] == "-0.5 0.5"
    torch.testing.assert_close((drawn + 1) / 2, picture)
    assert not torch.allclose(drawn, drawn.T, atol=1e-3)
    assert record(tmp_path / "zoo")["published_places"] == "column, row"


def test_trials_are_labelled_by_their_names(tmp_path: Path) -> None:
    report = import_sirens(trial_set(tmp_path / "set"), tmp_path / "zoo")
    assert report == InrImportReport(networks=6, test=2, pictures=6)
    assert listed(tmp_path / "zoo") == [
        ("test", "10", "0", "1"),
        ("test", "11", "0", "0"),
        *(("train", str(number), "0", str(number % 2)) for number in range(10, 14)),
    ]
    assert metadata(tmp_path / "zoo")["value_range"] == "-0.5 0.5"


def test_options_stand_over_the_layout(tmp_path: Path) -> None:
    network = save_trial(tmp_path / "set", 10, 1)
    selection = InrSelection(omega_0=12.5, value_range=(0.0, 255.0), column_first=False)
    import_sirens(tmp_path / "set", tmp_path / "zoo", selection)
    told = metadata(tmp_path / "zoo")
    assert (told["omega_0"], told["value_range"]) == ("12.5", "0 255")
    point = read_inrs(tmp_path / "zoo").point
    assert point.architecture.omega_0 == 12.5
    assert torch.equal(point.tensors["layers.0.weight"][0], network.seq[0].weight)


def test_a_split_file_decides_what_is_taken(tmp_path: Path) -> None:
    folder = trial_set(tmp_path / "mnist-inrs")
    home = "/home/them/dws/dataset/mnist-inrs"
    final = "checkpoints/model_final.pth"
    parts: dict[str, list[tuple[str, str | int]]] = {
        "train": [(f"{home}/mnist_png_training_0_12/{final}", "0")],
        # As another machine would write it, with a label of its own.
        "val": [(rf"C:\inrs\mnist_png_training_1_11\{final.replace('/', chr(92))}", 9)],
        "test": [(f"mnist-inrs/mnist_png_testing_1_10/{final}", "1")],
    }
    selection = InrSelection(split_file=split_file(tmp_path / "mnist_splits.json", parts))
    report = import_sirens(folder, tmp_path / "zoo", selection)
    assert report == InrImportReport(networks=3, test=1, pictures=3)
    assert listed(tmp_path / "zoo") == [
        ("train", "12", "0", "0"),
        ("train", "11", "0", "9"),
        ("test", "10", "0", "1"),
    ]
    # The folder above it is as good, where the paths tell its name.
    report = import_sirens(tmp_path, tmp_path / "again", selection)
    assert listed(tmp_path / "again") == [("train", "12", "0", "0"), ("test", "10", "0", "1")]
    assert len(report.skipped) == 1 and f"no such file in {tmp_path};" in report.skipped[0]


def test_split_files_of_the_other_sets_are_read(tmp_path: Path) -> None:
    # Fashion-MNIST of Navon et al.: numbered files that hold their class, too.
    own = tmp_path / "fmnist_inrs" / "train"
    own.mkdir(parents=True)
    for number in (3, 20814):
        torch.save(DwsInr().state_dict() | {"label": number % 10}, own / f"model_{number}.pth")
    parts = {"train": [("fmnist_inrs/train/model_20814.pth", 4)], "val": [("fmnist_inrs/train/model_3.pth", 3)]}
    selection = InrSelection(split_file=split_file(tmp_path / "fmnist_splits.json", parts))
    import_sirens(tmp_path / "fmnist_inrs", tmp_path / "fashion", selection)
    assert listed(tmp_path / "fashion") == [("train", "20814", "0", "4"), ("train", "3", "0", "3")]
    assert metadata(tmp_path / "fashion")["value_range"] == "-0.5 0.5"
    # A division of class folders.
    class_set(tmp_path / "classes")
    parts = {"train": [("randinit_smaller_aug0_1s/net1.pth", 1)], "test": [("randinit_smaller_2s/net5.pth", 2)]}
    selection = InrSelection(split_file=split_file(tmp_path / "cifar_splits.json", parts))
    import_sirens(tmp_path / "classes", tmp_path / "cifar", selection)
    assert listed(tmp_path / "cifar") == [("train", "1", "1", "1"), ("test", "5", "0", "2")]
    assert metadata(tmp_path / "cifar")["value_range"] == "-1 1"


def test_of_several_sets_one_must_be_named(tmp_path: Path) -> None:
    folder = trial_set(tmp_path / "mixed")
    # Numbered anew in every class, by names in the order of CIFAR-10.
    for label in ("ship", "cat"):
        save_trial(folder, 1, label, "train", "cifar10_png")
    message = refusal(folder, tmp_path / "zoo")
    assert message.endswith("holds several sets (cifar10, mnist); choose one, such as --data cifar10")
    assert "it has cifar10, mnist" in refusal(folder, tmp_path / "zoo", InrSelection(data="svhn"))
    import_sirens(folder, tmp_path / "mnist", InrSelection(data="mnist"))
    assert len(rows(tmp_path / "mnist")) == 6
    report = import_sirens(folder, tmp_path / "cifar", InrSelection(data="cifar10"))
    assert report.pictures == 2
    assert listed(tmp_path / "cifar") == [("train", "", "0", "3"), ("train", "", "0", "8")]
    assert record(tmp_path / "cifar")["classes"] == {"cat": 3, "ship": 8}


def test_pictures_are_drawn_with_all_their_fits(tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    seen: list[int] = []
    drawn = set()
    for seed in range(6):
        out = tmp_path / f"zoo-{seed}"
        report = import_sirens(folder, out, InrSelection(count=3, seed=seed), on_start=seen.append)
        assert report.pictures == 3
        pictures = [row["image"] for row in rows(out)]
        assert all(pictures.count(number) == (2 if number in ("1", "4") else 1) for number in pictures)
        drawn.add(tuple(pictures))
        assert seen[-1] == report.networks
    assert len(drawn) > 1
    import_sirens(folder, tmp_path / "one", InrSelection(fits=1))
    assert [row["image"] for row in rows(tmp_path / "one")] == [str(number) for number in range(6)]


def test_parts_are_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = class_set(tmp_path / "set")
    import_sirens(folder, tmp_path / "whole")
    monkeypatch.setattr(nfn_cli.zoo.published.packed_writer, "MOST_NETWORKS", 3)
    import_sirens(folder, tmp_path / "parts")
    assert [(row["file"], row["index"]) for row in rows(tmp_path / "parts")] == [
        (f"part-{place // 3:05d}.safetensors", str(place % 3)) for place in range(8)
    ]
    whole, parts = read_inrs(tmp_path / "whole").point, read_inrs(tmp_path / "parts").point
    assert all(torch.equal(tensor, parts.tensors[name]) for name, tensor in whole.tensors.items())


def test_the_record_says_where_the_zoo_came_from(tmp_path: Path) -> None:
    import_sirens(class_set(tmp_path / "siren_mnist_wts"), tmp_path / "zoo", InrSelection(fits=1, count=4, seed=7))
    assert record(tmp_path / "zoo") == {
        "recipe": "imported",
        "source": "SIRENs of Zhou et al. 2023 (arXiv 2302.14040)",
        "folder": "siren_mnist_wts",
        "data": "randinit_smaller",
        "activation": "sin",
        "arch": "siren",
        "value_range": "-1 1",
        "omega_0": "30",
        "published_places": "row, column",
        "classes": {"0": 0, "1": 1, "2": 2},
        "split_file": None,
        "test_from": 50_000,
        "fits": 1,
        "count": 4,
        "seed": 7,
        "networks": 4,
        "skipped": 0,
    }


class Payload:
    """Unpickled by an unwary reader, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def _executable(path: Path) -> None:
    torch.save(NfnSiren().state_dict() | {"hook": Payload(path.parent.parent / "executed")}, path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _nan(path: Path) -> None:
    tensors = torch.load(path)
    tensors["net.2.bias"][0] = torch.nan
    torch.save(tensors, path)


def _deeper(path: Path) -> None:
    torch.save(NfnSiren((2, 4, 4, 4, 1)).state_dict(), path)


def _wider(path: Path) -> None:
    torch.save(NfnSiren((2, 5, 5, 1)).state_dict(), path)


def _space(path: Path) -> None:
    torch.save(NfnSiren((3, 4, 4, 1)).state_dict(), path)


def _convolution(path: Path) -> None:
    torch.save(nn.Conv2d(2, 1, 3).state_dict(), path)


def _other_frequency(path: Path) -> None:
    torch.save({"state_dict": NfnSiren().state_dict(), "omega_0": 15}, path)


def _other_activation(path: Path) -> None:
    torch.save({"state_dict": NfnSiren().state_dict(), "activation": "relu"}, path)


def _linked(path: Path) -> None:
    outside = path.parent.parent.parent / "outside.pth"
    path.rename(outside)
    path.symlink_to(outside)


def _looped(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    torch.save(NfnSiren().state_dict(), path / "model.pth")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_executable, "holds more than tensors"),
        (_cut, "a truncated"),
        (_empty, "empty"),
        (_nan, "tensor '2.bias' holds 1 NaN"),
        (_deeper, "linear 4->4, linear 4->4, linear 4->1 (sin), omega_0 30, while "),
        (_wider, "is linear 2->5, linear 5->5, linear 5->1 (sin)"),
        (_space, "linear 3->4, linear 4->4, linear 4->1 (sin) does not take places of a picture"),
        (_convolution, "does not take places of a picture"),
        (_other_frequency, "(sin), omega_0 15, while "),
        (_other_activation, "its activation is relu"),
        (_linked, "leads out of"),
        (_looped, "no such file"),
        (_folder, "is no file"),
    ],
)
def test_a_broken_file_is_skipped_and_named(damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    broken = folder / "randinit_smaller_2s" / "net2.pth"
    damage(broken)
    report = import_sirens(folder, tmp_path / "zoo")
    assert (report.networks, report.pictures) == (7, 5)
    (line,) = report.skipped
    assert line.startswith(str(broken)) and message in line and len(line.splitlines()) == 1
    assert "2" not in [row["image"] for row in rows(tmp_path / "zoo")]
    assert record(tmp_path / "zoo")["skipped"] == 1
    assert not (folder / "executed").exists()


def test_a_folder_that_leads_outside_is_not_read(tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    (folder / "randinit_smaller_0s").rename(tmp_path / "outside")
    (folder / "randinit_smaller_0s").symlink_to(tmp_path / "outside")
    report = import_sirens(folder, tmp_path / "zoo")
    assert report.networks == 6
    assert "randinit_smaller_0s: leads out of" in report.skipped[0]


def test_what_a_split_file_lists_is_confined_to_the_folder(tmp_path: Path) -> None:
    folder = trial_set(tmp_path / "set" / "mnist-inrs")
    outside = trial_path(tmp_path / "outside", 20, 1)
    save_trial(tmp_path / "outside", 20, 1)
    (folder / "linked").symlink_to(tmp_path / "outside")
    good = str(trial_path(folder, 12, 0).relative_to(tmp_path))
    wrong = [
        str(outside),
        "../../outside/mnist_png_training_1_20/checkpoints/model_final.pth",
        "linked/mnist_png_training_1_20/checkpoints/model_final.pth",
        good,
        "",
        "..",
        "/",
        "a\0b/model_final.pth",
        "\ud800/model_final.pth",
        "x" * 10_000 + "/model_final.pth",
        "line\nbreak/\x1b[2J.pth",
    ]
    parts = {"train": [(good, 0), *((path, 1) for path in wrong)]}
    selection = InrSelection(split_file=split_file(tmp_path / "splits.json", parts))
    report = import_sirens(folder, tmp_path / "zoo", selection)
    assert report.networks == 1
    assert len(report.skipped) == len(wrong)
    assert all(len(line.splitlines()) == 1 and line.isprintable() for line in report.skipped)
    causes = {"leads out of": 1, "lists it twice": 1, f"no such file in {folder}": len(wrong) - 2}
    assert {cause: sum(cause in line for line in report.skipped) for cause in causes} == causes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
        ("[]", "is no split file"),
        ('{"path": [], "label": []}', "is no split file"),
        ('{"train": ["fmnist_inrs/train/model_1.pth"]}', "train has no labels"),
        ('{"train": {"path": "a", "label": ["1"]}}', "train is no list of paths"),
        ('{"train": {"path": [1], "label": ["1"]}}', "train is no list of paths"),
        ('{"train": {"path": ["a"], "label": [true]}}', "train has no labels"),
        ('{"train": {"path": ["a"], "label": []}}', "train has 1 paths and 0 labels"),
        ('{"train": {"path": [], "label": []}}', "lists no network"),
        ('{"test": {"path": ["a/b", "c/d"], "label": [1, 2]}}', "none of the 2 files that it lists is in "),
    ],
)
def test_split_files_of_another_layout_are_refused(content: str, message: str, tmp_path: Path) -> None:
    folder = trial_set(tmp_path / "set")
    (tmp_path / "splits.json").write_text(content)
    told = refusal(folder, tmp_path / "zoo", InrSelection(split_file=tmp_path / "splits.json"))
    assert told.startswith(str(tmp_path / "splits.json")) and message in told
    (tmp_path / "splits.json").unlink()
    assert "no such file" in refusal(folder, tmp_path / "zoo", InrSelection(split_file=tmp_path / "splits.json"))


@pytest.mark.parametrize("labels", [["1", "ship"], [-1, 2], [1, 10_000], ["9" * 5000, "1"]], ids=str)
def test_labels_that_are_no_classes_are_refused(labels: list[str | int], tmp_path: Path) -> None:
    folder = trial_set(tmp_path / "set")
    paths = [str(trial_path(folder, number, number % 2)) for number in (10, 11)]
    parts = {"train": list(zip(paths, labels, strict=True))}
    selection = InrSelection(split_file=split_file(tmp_path / "splits.json", parts))
    assert "that is no class; labels are 0 to 9,999" in refusal(folder, tmp_path / "zoo", selection)


def test_without_a_readable_network_nothing_is_written(tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    for path in folder.glob("*/*.pth"):
        _cut(path)
    assert "none of its 8 files can be read; the first: " in refusal(folder, tmp_path / "zoo")
    for path in folder.glob("*/*.pth"):
        path.unlink()
    assert "the set randinit_smaller has no networks" in refusal(folder, tmp_path / "zoo")
    (tmp_path / "empty").mkdir()
    assert "none of its folders is called like" in refusal(tmp_path / "empty", tmp_path / "zoo")
    assert "no readable folder" in refusal(tmp_path / "missing", tmp_path / "zoo")


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    import_sirens(folder, tmp_path / "zoo")
    before = (tmp_path / "zoo" / "labels.csv").read_bytes()
    with pytest.raises(DataError, match="holds something already"):
        import_sirens(folder, tmp_path / "zoo")
    assert (tmp_path / "zoo" / "labels.csv").read_bytes() == before


def test_what_stops_an_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = class_set(tmp_path / "set")
    monkeypatch.setattr(nfn_cli.zoo.published.packed_writer, "MOST_NETWORKS", 2)
    left = 5

    def interrupt(networks: int) -> None:
        nonlocal left
        left -= networks
        if not left:
            assert os.listdir(tmp_path / "new" / "zoo")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_sirens(folder, tmp_path / "new" / "zoo", on_networks=interrupt)
    assert not (tmp_path / "new").exists()


def test_the_command_imports_and_tells(nfn: Nfn, tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    code, out, err = nfn("zoo", "import", "siren", folder, "--out", tmp_path / "zoo", "--test-from", 4)
    assert (code, out) == (0, "")
    assert err == f"nfn: {tmp_path / 'zoo'}: 8 networks of 6 pictures (5 to train on, 3 to test on)\n"
    options = ["--omega-0", 20, "--value-range", -0.25, 1, "--places", "column-first", "--count", 2, "--fits", 1]
    code, _, _ = nfn("zoo", "import", "siren", folder, "--out", tmp_path / "other", *options, "--seed", 3)
    assert code == 0
    told = metadata(tmp_path / "other")
    assert (told["omega_0"], told["value_range"]) == ("20", "-0.25 1")
    assert len(rows(tmp_path / "other")) == 2
    assert record(tmp_path / "other")["published_places"] == "column, row"


def test_the_command_takes_a_split_file(nfn: Nfn, tmp_path: Path) -> None:
    folder = trial_set(tmp_path / "set")
    paths = [str(trial_path(Path("/theirs"), number, number % 2)) for number in (10, 11, 99)]
    split = split_file(tmp_path / "splits.json", {"train": [(path, i) for i, path in enumerate(paths)]})
    code, out, err = nfn("zoo", "import", "siren", folder, "--out", tmp_path / "zoo", "--split", split)
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"nfn: {paths[2]}: no such file in {folder}; take the split file of this very set",
        f"nfn: {tmp_path / 'zoo'}: 2 networks of 2 pictures (2 to train on, 0 to test on, 1 skipped)",
    ]


def test_what_is_no_set_is_refused_in_one_line(nfn: Nfn, tmp_path: Path) -> None:
    code, out, err = nfn("zoo", "import", "siren", tmp_path, "--out", tmp_path / "zoo")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--split", "s.json", "--data", "mnist"],
        ["--split", "s.json", "--test-from", "5"],
        ["--value-range", "1", "1"],
        ["--value-range", "nan", "1"],
        ["--value-range", "-inf", "1"],
        ["--omega-0", "0"],
        ["--omega-0", "nan"],
        ["--places", "both"],
        ["--count", "0"],
        ["--fits", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(options: list[str], nfn: Nfn, tmp_path: Path) -> None:
    folder = class_set(tmp_path / "set")
    code, out, err = nfn("zoo", "import", "siren", folder, "--out", tmp_path / "zoo", *options)
    assert (code, out) == (2, "")
    assert err != "" and not (tmp_path / "zoo").exists()
