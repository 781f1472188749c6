"""`nfn train` on a user's own checkpoints: whatever chain they are, and however the CSV file is written."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from nfn_cli.learning import AccuracySettings, FitSettings, train_head
from nfn_cli.nn import MonomialNFNSizes, load_head

Nfn = Callable[..., tuple[int, str, str]]
RUNS = 40
BRIEF = AccuracySettings(
    sizes=MonomialNFNSizes(channels=4, equivariant_layers=1, invariants=4, hidden=8),
    members=1,
    fit=FitSettings(epochs=2, batch_size=16),
)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 3))


def one_hidden_layer() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))


def siren() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 8), nn.Identity(), nn.Linear(8, 8), nn.Identity(), nn.Linear(8, 3))


def batch_norm() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10),
    )  # fmt: skip
    for module in net:
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean, module.running_var = torch.randn(module.num_features), torch.rand(module.num_features)
    return net


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 5), nn.Conv2d(3, 4, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(4 * 16, 12), nn.Linear(12, 8), nn.Linear(8, 10)


ARCHITECTURES = {
    "MLP": (mlp, "relu"),
    "one hidden layer": (one_hidden_layer, "tanh"),
    "LeNet": (LeNet, "relu"),
    "LeNet with leaky ReLU": (LeNet, "leaky_relu"),
    "BatchNorm": (batch_norm, "relu"),
    "SIREN": (siren, "sin"),
}


def write_own(
    folder: Path, make: Callable[[], nn.Module] = mlp, *, runs: int = RUNS, names: Sequence[str] = ()
) -> list[dict[str, object]]:
    """Write state dicts as a training script would; the rows of a table for them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    rows: list[dict[str, object]] = []
    for run in range(runs):
        name = names[run] if names else f"model-{run}.pt"
        torch.save({"state_dict": make().state_dict(), "epoch": 3}, folder / name)
        rows.append({"file": name, "test_accuracy": 0.3 + 0.01 * run})
    return rows


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def refused(nfn: Nfn, *arguments: object) -> str:
    code, out, err = nfn("train", *arguments, "--activation", "relu", "--members", 1, "--epochs", 1)
    assert (code, out) == (3, "")
    assert err.startswith("nfn: ") and err.count("\n") == 1
    return err[len("nfn: ") : -1]


def succeeds(nfn: Nfn, *arguments: object) -> None:
    code, _, err = nfn("train", *arguments, "--activation", "relu", "--members", 1, "--epochs", 1)
    assert code == 0, err


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_any_chain_gets_a_head(name: str, tmp_path: Path) -> None:
    make, activation = ARCHITECTURES[name]
    write_table(tmp_path / "own" / "labels.csv", write_own(tmp_path / "own", make))
    report = train_head(
        tmp_path / "own", None, tmp_path / "head", AccuracySettings(**{**vars(BRIEF), "activation": activation})
    )
    assert report.flags_changed == 0
    assert report.drift < 1e-2
    head = load_head(str(tmp_path / "head"))
    assert head.config.accepted.activation == activation
    assert head.config.fitted["networks"] == RUNS


def test_a_head_of_an_activation_without_a_group_is_refused_before_any_work(nfn: Nfn, tmp_path: Path) -> None:
    write_table(tmp_path / "own" / "labels.csv", write_own(tmp_path / "own"))
    options = ["--activation", "gelu", "--kind", "monomial-nfn"]
    code, out, err = nfn("train", tmp_path / "own", "--out", tmp_path / "head", *options)
    assert (code, out) == (3, "")
    assert err == (
        "nfn: linear 4->7, linear 7->6, linear 6->3 (gelu): activation gelu has neither scalings nor signs as"
        " symmetries; Monomial-NFN layers need relu, leaky_relu, tanh, sin or the like\n"
    )
    assert not (tmp_path / "head").exists()


def test_networks_that_are_run_need_no_group(nfn: Nfn, tmp_path: Path) -> None:
    write_table(tmp_path / "own" / "labels.csv", write_own(tmp_path / "own"))
    options = ["--activation", "gelu", "--epochs", "1", "--members", "1"]
    code, _, err = nfn("train", tmp_path / "own", "--out", tmp_path / "head", *options)
    assert code == 0, err
    assert load_head(str(tmp_path / "head")).config.accepted.activation == "gelu"


def test_an_unknown_activation_is_asked_for(nfn: Nfn, tmp_path: Path) -> None:
    write_table(tmp_path / "own" / "labels.csv", write_own(tmp_path / "own"))
    code, _, err = nfn("train", tmp_path / "own", "--out", tmp_path / "head")
    assert code == 3 and err.count("\n") == 1
    assert "--activation" in err


def test_a_table_may_have_other_names_and_further_columns(nfn: Nfn, tmp_path: Path) -> None:
    rows = write_own(tmp_path / "own")
    table = [
        {"file": row["file"], "val acc": row["test_accuracy"], "run": "all one", "job": number // 2, "notes": "x,y"}
        for number, row in enumerate(rows + write_own(tmp_path / "own", names=[f"b{run}.pt" for run in range(RUNS)]))
    ]
    write_table(tmp_path / "mine.csv", table)
    options = ["--labels", tmp_path / "mine.csv", "--target", "val acc", "--run-column", "job"]
    succeeds(nfn, tmp_path / "own", "--out", tmp_path / "head", *options)
    head = load_head(str(tmp_path / "head"))
    assert head.config.fitted["runs"] == RUNS
    card = (tmp_path / "head" / "README.md").read_text()
    given = "--labels mine.csv --target 'val acc' --run-column job --activation relu"
    assert f"nfn train own --output head --kind monomial-probe --epochs 1 --members 1 --seed 0 {given}\n" in card
    assert f"nfn evaluate head own {given}\n" in card
    # Measuring goes by the runs of the fit: with each file a run of its own, fitted networks would pass for unseen.
    code, out, _ = nfn("evaluate", tmp_path / "head", tmp_path / "own", "--format", "json", *options[:4])
    assert code == 0
    assert nfn("evaluate", tmp_path / "head", tmp_path / "own", "--format", "json", *options) == (0, out, "")


def test_a_run_column_that_is_not_there_is_refused(nfn: Nfn, tmp_path: Path) -> None:
    write_table(tmp_path / "own" / "labels.csv", write_own(tmp_path / "own"))
    message = refused(nfn, tmp_path / "own", "--out", tmp_path / "head", "--run-column", "job")
    assert "no column 'job' (it has file, test_accuracy)" in message


def test_paths_may_be_relative_to_the_table_or_to_the_folder(nfn: Nfn, tmp_path: Path) -> None:
    rows = write_own(tmp_path / "own" / "nets")
    write_table(tmp_path / "own" / "table.csv", [row | {"file": f"nets/{row['file']}"} for row in rows])
    write_table(tmp_path / "elsewhere.csv", rows)
    for number, table in enumerate([tmp_path / "own" / "table.csv", tmp_path / "elsewhere.csv"]):
        succeeds(nfn, tmp_path / "own" / "nets", "--labels", table, "--out", tmp_path / f"head-{number}")
    one, other = (load_head(str(tmp_path / f"head-{number}")).config.fitted["networks"] for number in range(2))
    assert one == other == RUNS


def test_percentages_are_refused_with_what_to_do(nfn: Nfn, tmp_path: Path) -> None:
    rows = [row | {"test_accuracy": 30.5 + number} for number, row in enumerate(write_own(tmp_path / "own"))]
    write_table(tmp_path / "own" / "labels.csv", rows)
    assert refused(nfn, tmp_path / "own", "--out", tmp_path / "head") == (
        f"{tmp_path / 'own' / 'labels.csv'}:2: test_accuracy is 30.5; divide percentages by 100: give accuracies as"
        " fractions between 0 and 1"
    )


@pytest.mark.parametrize("value", ["-2.3", "1e6", "nan", "", "good"])
def test_targets_that_are_no_accuracies_are_refused(value: str, nfn: Nfn, tmp_path: Path) -> None:
    rows = write_own(tmp_path / "own")
    rows[4] = rows[4] | {"test_accuracy": value}
    write_table(tmp_path / "own" / "labels.csv", rows)
    message = refused(nfn, tmp_path / "own", "--out", tmp_path / "head")
    assert message.startswith(f"{tmp_path / 'own' / 'labels.csv'}:6: ")
    assert "divide" not in message


def test_a_missing_checkpoint_is_named(nfn: Nfn, tmp_path: Path) -> None:
    write_table(tmp_path / "own" / "labels.csv", write_own(tmp_path / "own"))
    (tmp_path / "own" / "model-9.pt").unlink()
    message = refused(nfn, tmp_path / "own", "--out", tmp_path / "head")
    assert message.startswith(f"{tmp_path / 'own' / 'model-9.pt'}: ")


def test_a_checkpoint_listed_twice_is_refused_by_its_lines(nfn: Nfn, tmp_path: Path) -> None:
    rows = write_own(tmp_path / "own")
    write_table(tmp_path / "own" / "labels.csv", [*rows, rows[2] | {"file": "./model-2.pt"}])
    assert refused(nfn, tmp_path / "own", "--out", tmp_path / "head") == (
        f"{tmp_path / 'own' / 'labels.csv'}:{RUNS + 2}: lists ./model-2.pt again (after line 4); keep one of the rows"
    )


def test_a_table_in_the_place_of_the_folder_is_explained(nfn: Nfn, tmp_path: Path) -> None:
    write_table(tmp_path / "own" / "accuracies.csv", write_own(tmp_path / "own"))
    message = refused(nfn, tmp_path / "own" / "accuracies.csv", "--out", tmp_path / "head")
    assert message.endswith("is a CSV file; give the folder of checkpoints, and this file as --labels accuracies.csv")
