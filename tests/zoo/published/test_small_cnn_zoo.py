"""The Small CNN Zoo becomes a packed zoo of the same networks."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from safetensors import safe_open

import nfn_cli.zoo.published.packed_writer
from nfn_cli.errors import DataError, NfnError
from nfn_cli.zoo import Selection, ZooSettings, generate_zoo, import_small_cnn_zoo, read_networks, read_record

Array = NDArray[np.float32]
Zoo = Callable[..., Array]


def tensorflow_logits(row: Array, images: NDArray[np.float64], activation: str) -> NDArray[np.float64]:
    """A network as TensorFlow runs it: images and kernels with channels last, straight from the flat row."""
    shapes = [((16,), (3, 3, 1, 16)), ((16,), (3, 3, 16, 16)), ((16,), (3, 3, 16, 16)), ((10,), (16, 10))]
    numbers, parts = row.astype(np.float64), []
    for bias_shape, kernel_shape in shapes:
        bias, kernel, numbers = np.split(numbers, [np.prod(bias_shape), np.prod(bias_shape) + np.prod(kernel_shape)])
        parts.append((bias, kernel.reshape(kernel_shape)))
    hidden = images
    for bias, kernel in parts[:3]:
        windows = np.lib.stride_tricks.sliding_window_view(hidden, (3, 3), (1, 2))[:, ::2, ::2]
        hidden = np.einsum("nxyihw,hwio->nxyo", windows, kernel) + bias
        hidden = np.tanh(hidden) if activation == "tanh" else np.maximum(hidden, 0)
    bias, kernel = parts[3]
    return hidden.mean((1, 2)) @ kernel + bias  # type: ignore[no-any-return]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def edit_metrics(folder: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Let `change` edit the rows of metrics.csv.gz in place."""
    with gzip.open(folder / "metrics.csv.gz", "rt", newline="") as file:
        metrics = list(csv.DictReader(file))
    change(metrics)
    with gzip.open(folder / "metrics.csv.gz", "wt", newline="") as file:
        writer = csv.DictWriter(file, list(metrics[0]))
        writer.writeheader()
        writer.writerows(metrics)


def refusal(folder: Path, out: Path, selection: Selection | None = None, error: type[NfnError] = DataError) -> str:
    """The one line that refuses an import, which leaves nothing behind."""
    with pytest.raises(error) as refused:
        import_small_cnn_zoo(folder, out, selection)
    assert len(str(refused.value).splitlines()) == 1
    assert not out.exists()
    return str(refused.value)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_imported_networks_compute_what_they_computed_in_tensorflow(
    activation: str, small_cnn_zoo: Zoo, tmp_path: Path
) -> None:
    weights = small_cnn_zoo(tmp_path / "published", [activation] * 2, (0, 86))
    import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo")
    point = read_networks(tmp_path / "zoo").point
    assert (point.architecture.activation, point.architecture.pool) == (activation, "avg")
    # Higher than wide, so that swapped axes are seen.
    images = np.random.default_rng(1).normal(size=(3, 28, 32, 1))
    function = {"relu": torch.relu, "tanh": torch.tanh}[activation]
    for i, row in enumerate(weights):
        tensors = {name: tensor[i].double() for name, tensor in point.tensors.items()}
        hidden = torch.from_numpy(images).permute(0, 3, 1, 2)
        for name in ("conv1", "conv2", "conv3"):
            hidden = function(F.conv2d(hidden, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride=2))
        logits = F.linear(hidden.mean((2, 3)), tensors["fc.weight"], tensors["fc.bias"])
        np.testing.assert_allclose(logits.numpy(), tensorflow_logits(row, images, activation), rtol=1e-9, atol=1e-9)


def test_labels_tell_what_the_metrics_tell(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"] * 2, (0, 86))
    edit_metrics(tmp_path / "published", lambda metrics: metrics[3].update({"test_accuracy": "0.625"}))
    report = import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo")
    assert (report.networks, report.runs, report.dropped, report.skipped) == (4, 2, 0, ())
    written = rows(tmp_path / "zoo")
    assert [(row["run"], row["epoch"], row["index"]) for row in written] == [
        ("/zoo/cifar10/0", "0", "0"),
        ("/zoo/cifar10/0", "86", "1"),
        ("/zoo/cifar10/1", "0", "2"),
        ("/zoo/cifar10/1", "86", "3"),
    ]
    assert written[3] == {
        "file": "part-00000.safetensors",
        "index": "3",
        "epoch": "86",
        "test_accuracy": "0.625",
        "test_loss": "1.5",
        "train_accuracy": written[3]["train_accuracy"],
        "train_loss": "1.25",
        "run": "/zoo/cifar10/1",
        "activation": "relu",
        "learning_rate": "0.005",
        "l2": "1e-06",
        "dropout": "0.2",
        "initialiser_scale": "0.01",
        "train_fraction": "0.25",
        "optimizer": "adam",
        "initialiser": "normal",
        "data": "cifar10",
    }
    networks = read_networks(tmp_path / "zoo")
    assert networks.runs == ("/zoo/cifar10/0",) * 2 + ("/zoo/cifar10/1",) * 2
    assert networks.targets[3] == 0.625


def test_a_checkpoints_own_folder_is_not_a_run(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"], (0, 86))

    def name(metrics: list[dict[str, str]]) -> None:
        for row in metrics:
            row["modeldir"] += f"/permanent_ckpt-{row['step']}"

    edit_metrics(tmp_path / "published", name)
    assert import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo").runs == 1
    assert {row["run"] for row in rows(tmp_path / "zoo")} == {"/zoo/cifar10/0"}


@pytest.mark.parametrize(
    ("selection", "places"),
    [
        (Selection(activation="relu"), [0, 1, 2, 3, 4, 5]),
        (Selection(activation="ReLU", epochs=(20,)), [1, 4]),
        (Selection(activation="relu", epochs=(86, 0, 7)), [0, 2, 3, 5]),
        (Selection(activation="tanh", last=True), [8]),
    ],
)
def test_only_the_chosen_networks_are_taken(
    selection: Selection, places: list[int], small_cnn_zoo: Zoo, tmp_path: Path
) -> None:
    weights = small_cnn_zoo(tmp_path / "published")
    import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo", selection)
    # The first sixteen weights are the first layer's bias.
    bias = read_networks(tmp_path / "zoo").point.tensors["conv1.bias"]
    np.testing.assert_array_equal(bias.numpy(), weights[places, :16])


def test_the_last_step_is_each_runs_own(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"] * 2)
    edit_metrics(tmp_path / "published", lambda metrics: metrics[2].update(step="12"))
    import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo", Selection(last=True))
    assert [row["epoch"] for row in rows(tmp_path / "zoo")] == ["20", "86"]


def test_runs_are_drawn_whole_and_by_the_seed(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"] * 12, (0, 86))
    drawn = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        import_small_cnn_zoo(tmp_path / "published", tmp_path / name, Selection(count=4, seed=seed))
        drawn.append([row["run"] for row in rows(tmp_path / name)])
    assert len(drawn[0]) == 8 and len(set(drawn[0])) == 4
    assert drawn[0] == drawn[1] != drawn[2]


def test_several_activations_need_a_choice(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published")
    message = refusal(tmp_path / "published", tmp_path / "zoo")
    assert "several activations (relu: 2 runs, tanh: 1 runs); choose one, such as --activation relu" in message
    message = refusal(tmp_path / "published", tmp_path / "zoo", Selection(activation="gelu"))
    assert "no network has the activation gelu (relu: 2 runs, tanh: 1 runs)" in message


def test_a_step_that_is_not_there_is_refused(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    message = refusal(tmp_path / "published", tmp_path / "zoo", Selection(epochs=(50,)))
    assert "has no networks of these steps (it has 0, 20, 86)" in message


def test_networks_that_are_not_finite_are_dropped_and_counted(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    weights = small_cnn_zoo(folder, ["relu"] * 6, (86,))
    weights[0, 4969], weights[1, 0] = np.nan, -np.inf
    np.save(folder / "weights.npy", weights)

    def break_rows(metrics: list[dict[str, str]]) -> None:
        metrics[2]["test_accuracy"] = ""  # how pandas writes NaN
        metrics[3]["test_loss"] = "inf"
        metrics[4]["train_loss"] = "nan"  # says nothing of the network as it is

    edit_metrics(folder, break_rows)
    report = import_small_cnn_zoo(folder, tmp_path / "zoo")
    assert (report.networks, report.dropped) == (2, 4)
    assert [row["run"] for row in rows(tmp_path / "zoo")] == ["/zoo/cifar10/4", "/zoo/cifar10/5"]
    assert yaml.safe_load((tmp_path / "zoo" / "zoo.yaml").read_text())["dropped"] == 4
    np.save(folder / "weights.npy", np.full_like(weights, np.nan))
    assert "none of the 6 networks chosen is finite" in refusal(folder, tmp_path / "other")


def test_parts_are_bounded_and_hold_every_network_once(
    small_cnn_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nfn_cli.zoo.published.small_cnn_zoo, "_BLOCK", 5)
    monkeypatch.setattr(nfn_cli.zoo.published.packed_writer, "_MOST_BYTES", 3 * 4970 * 4 + 1)
    weights = small_cnn_zoo(tmp_path / "published", ["relu"] * 4)
    seen: list[int] = []
    import_small_cnn_zoo(
        tmp_path / "published", tmp_path / "zoo", on_start=seen.append, on_networks=lambda more: seen.append(-more)
    )
    assert (seen[0], sum(seen)) == (12, 0)
    sizes = []
    for part in sorted((tmp_path / "zoo").glob("*.safetensors")):
        with safe_open(part, framework="np") as file:
            sizes.append((part.name, file.metadata()["nfn.population"], file.get_tensor("fc.bias").shape))
    assert sizes == [(f"part-{i:05d}.safetensors", "3", (3, 10)) for i in range(4)]
    bias = read_networks(tmp_path / "zoo").point.tensors["conv1.bias"]
    np.testing.assert_array_equal(bias.numpy(), weights[:, :16])


def test_the_record_says_where_the_zoo_came_from(small_cnn_zoo: Zoo, tmp_path: Path, archive: Path) -> None:
    small_cnn_zoo(tmp_path / "cifar10-gs", ["relu"] * 2)
    import_small_cnn_zoo(tmp_path / "cifar10-gs", tmp_path / "zoo", Selection(epochs=(0, 86)))
    assert yaml.safe_load((tmp_path / "zoo" / "zoo.yaml").read_text()) == {
        "recipe": "imported",
        "source": "Small CNN Zoo (Unterthiner et al. 2020, arXiv 2002.11448)",
        "folder": "cifar10-gs",
        "data": "cifar10",
        "activation": "relu",
        "epochs": [0, 86],
        "count": None,
        "seed": 0,
        "dropped": 0,
        "networks": 4,
        "runs": 2,
    }
    # It is no recipe's record, and nothing can be trained into its folder.
    assert read_record(tmp_path / "zoo") is None
    with pytest.raises(DataError, match="holds an imported zoo; choose another folder"):
        generate_zoo(tmp_path / "zoo", ZooSettings(str(archive), "relu", 1))


def test_a_folder_that_holds_something_is_left_alone(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "part-00000.safetensors").write_text("mine")
    with pytest.raises(DataError, match="holds something already; choose an empty folder"):
        import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo")
    assert [path.read_text() for path in (tmp_path / "zoo").iterdir()] == ["mine"]
    with pytest.raises(DataError, match="no folder that can be written to"):
        import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo" / "part-00000.safetensors")


@pytest.mark.parametrize("made", [True, False], ids=["new folder", "own folder"])
def test_an_interrupted_import_leaves_nothing(
    made: bool, small_cnn_zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nfn_cli.zoo.published.small_cnn_zoo, "_BLOCK", 1)
    monkeypatch.setattr(nfn_cli.zoo.published.packed_writer, "MOST_NETWORKS", 1)
    small_cnn_zoo(tmp_path / "published", ["relu"])
    parts: list[list[Path]] = []

    def interrupt(_: int) -> None:
        parts.append(list((tmp_path / "new" / "zoo").glob("part-*")))
        if len(parts) == 2:
            raise KeyboardInterrupt

    if not made:
        (tmp_path / "new" / "zoo").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        import_small_cnn_zoo(tmp_path / "published", tmp_path / "new" / "zoo", on_networks=interrupt)
    assert len(parts[1]) == 2
    assert (tmp_path / "new" / "zoo").exists() is not made
    assert not list((tmp_path / "new").glob("zoo/*"))


@pytest.mark.parametrize("name", ["weights.npy", "layout.csv", "metrics.csv.gz"])
def test_a_missing_or_damaged_file_is_named(name: str, small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    path = tmp_path / "published" / name
    small_cnn_zoo(path.parent, ["relu"])
    content = path.read_bytes()
    # Whether a file cut so short is damaged, or merely ends too early, its format decides.
    for damaged in (b"", content[:100], content[: len(content) // 2], b"\xff\xfe" + content):
        path.write_bytes(damaged)
        assert refusal(path.parent, tmp_path / "zoo").startswith(str(path))
    path.unlink()
    assert refusal(path.parent, tmp_path / "zoo").startswith(f"{path}: no such file; give the folder of ")


def test_a_file_in_place_of_the_folder_is_named(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    weights = tmp_path / "published" / "weights.npy"
    assert refusal(weights, tmp_path / "zoo").startswith(f"{weights}: no such folder; give the folder of weights.npy, ")


class Executed:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('executed')",)


def test_pickled_objects_are_never_loaded(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    np.save(tmp_path / "published" / "weights.npy", np.array([[Executed()]], dtype=object))
    assert "weights.npy: not a readable NumPy array (" in refusal(tmp_path / "published", tmp_path / "zoo")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4969), np.float32), "has rows of 4,969 weights, layout.csv has 4,970"),
        (np.zeros((3, 4970), np.int32), "holds int32 of shape 3 x 4970"),
        (np.zeros(4970, np.float32), "holds float32 of shape 4970"),
        (np.zeros((0, 4970), np.float32), "holds no networks"),
        (np.zeros((2, 4970), np.float32), "has more rows than weights.npy, which has 2"),
        (np.zeros((4, 4970), np.float32), "has 3 rows, weights.npy has 4"),
    ],
)
def test_weights_that_do_not_fit_are_refused(array: Array, message: str, small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    np.save(tmp_path / "published" / "weights.npy", array)
    assert message in refusal(tmp_path / "published", tmp_path / "zoo")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sequential/dense/kernel:0",
            "sequential/dense/gamma:0",
            ":9: 'sequential/dense/gamma:0' is no kernel or bias",
        ),
        ('"(16, 10)"', '"(16, 11)"', ":9: shape '(16, 11)' does not fill 4810 to 4970"),
        ('"(16, 10)"', '"__import__(1)"', ":9: shape '__import__(1)' does not fill"),
        ('"(16, 10)"', '"(160,)"', ":9: shape '(160,)' is not that of a kernel"),
        ("4810,4970,160", "4810,many,160", ":9: start_idx or end_idx is no number"),
        ("4810,4970,160", "4811,4971,160", ": its variables do not follow one another at 4810"),
        ("sequential/dense/bias:0", "sequential/other/bias:0", ": sequential/other has no kernel and bias that fit"),
        ("varname", "name", ":2: '' is no kernel or bias"),
        ('"(16, 10)"', '"(10, 16)"', ": sequential/dense has no kernel and bias that fit"),
        ("sequential/conv2d/kernel:0", "sequential/conv2d/bias:0", ":3: shape '(3, 3, 1, 16)' is not that of a bias"),
        ('"(3, 3, 1, 16)"', '"(1, 3, 3, 16)"', None),
        ('"(3, 3, 16, 16)"', '"(9, 1, 16, 16)"', None),
        ('"(3, 3, 16, 16)"', '"(9, 16, 1, 16)"', ": sequential/conv2d_1 does not read what sequential/conv2d gives"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(
    old: str, new: str, message: str | None, small_cnn_zoo: Zoo, tmp_path: Path
) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    path = tmp_path / "published" / "layout.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    if message is None:
        assert import_small_cnn_zoo(path.parent, tmp_path / "zoo").networks == 3
    else:
        assert refusal(path.parent, tmp_path / "zoo").startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_accuracy": "91.5"}, "test_accuracy is 91.5; give accuracies as fractions"),
        ({"test_accuracy": "high"}, "not a number (could not convert string to float: 'high')"),
        ({"step": "1.5"}, "step is '1.5'"),
        ({"step": ""}, "step is ''"),
        ({"modeldir": ""}, "names no modeldir"),
        ({"modeldir": "/zoo/other", "config.dropout": "much"}, "not a number (could not convert string"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_by_its_line(
    change: dict[str, str], message: str, small_cnn_zoo: Zoo, tmp_path: Path
) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    edit_metrics(tmp_path / "published", lambda metrics: metrics[1].update(change))
    line = refusal(tmp_path / "published", tmp_path / "zoo")
    assert line.startswith(f"{tmp_path / 'published' / 'metrics.csv.gz'}:3: {message}")


def test_an_unknown_activation_is_refused_by_its_line(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu", "abacus"], (86,))
    message = refusal(tmp_path / "published", tmp_path / "zoo", error=NfnError)
    assert "metrics.csv.gz:3: unknown activation 'abacus'" in message


@pytest.mark.parametrize("column", ["modeldir", "step", "test_accuracy", "config.activation"])
def test_a_missing_column_is_named(column: str, small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    edit_metrics(tmp_path / "published", lambda metrics: [row.pop(column) for row in metrics])
    assert f"metrics.csv.gz: no column {column!r}" in refusal(tmp_path / "published", tmp_path / "zoo")


def test_columns_that_are_not_there_are_left_out(small_cnn_zoo: Zoo, tmp_path: Path) -> None:
    small_cnn_zoo(tmp_path / "published", ["relu"])
    needed = ("modeldir", "step", "test_accuracy", "config.activation")

    def strip(metrics: list[dict[str, str]]) -> None:
        metrics[:] = [{name: row[name] for name in needed} for row in metrics]

    edit_metrics(tmp_path / "published", strip)
    import_small_cnn_zoo(tmp_path / "published", tmp_path / "zoo")
    assert list(rows(tmp_path / "zoo")[0]) == ["file", "index", "epoch", "test_accuracy", "run", "activation"]
