"""The model card says what was measured, on what, and how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import typer

from nfn_cli.cli.app import make_app
from nfn_cli.learning import Estimate, EvaluationReport
from nfn_cli.learning.accuracy_card import accuracy_card
from nfn_cli.learning.card import model_card, wrapped
from nfn_cli.nn import Head, load_head

Fitted = tuple[Path, EvaluationReport]
Card = Callable[..., str]
ZOO = {
    "recipe": "small-cnn",
    "data": "cifar10_gray.npz",
    "activation": "relu",
    "seed": 3,
    "epochs": [2, 8],
    "batch_size": 32,
    "image_limit": 500,
    "packed": True,
    "precision": "bfloat16",
    "count": 80,
    "diverged": [7],
}


@pytest.fixture
def card(fitted: Fitted) -> Card:
    """The fitted head's card, had it been fitted otherwise."""

    def write(**record: Any) -> str:
        folder, report = fitted
        head = load_head(str(folder))
        config = replace(head.config, fitted={**head.config.fitted, **record})
        named = Head("my-head", config, head.model)
        return model_card(named, accuracy_card(named, report))

    return write


def test_the_card_tells_what_calibrated_the_interval_and_which_widths_are_known(fitted: Fitted, card: Card) -> None:
    text = " ".join(card().split())
    radius = load_head(str(fitted[0])).model.calibration.radii[0].item()
    assert "the 90 % quantile of the absolute error on calibration runs, and of each member" in text
    assert f"cut to [0, 1]: ± {radius:.4f}. ## Out of distribution A network is out of" in text
    assert "on the 12.5% of the training runs that it was not fitted to" in text
    assert "if its hidden widths are not 6, as those of all networks" in text


def test_the_card_tells_how_the_interval_varies(fitted: Fitted) -> None:
    folder, report = fitted
    head = load_head(str(folder))
    head.model.calibration.knots.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]))
    head.model.calibration.radii.copy_(torch.tensor([0.01, 0.02, 0.03, 0.02, 0.04]))
    text = " ".join(model_card(head, accuracy_card(head, report)).split())
    assert "± 0.0100 where 10.0% are predicted, 0.0200 at 20.0%, 0.0300 at 30.0%, 0.0200 at 40.0%, 0.0400 at" in text


def commands(card: str) -> list[str]:
    return card.split("## Reproduce\n\n```\n")[1].split("\n```")[0].splitlines()


def test_the_card_of_a_folder_is_the_card_of_its_head(fitted: Fitted, card: Card) -> None:
    assert (fitted[0] / "README.md").read_text() == card()


def test_the_card_gives_the_figures_of_the_report(fitted: Fitted, card: Card) -> None:
    _, report = fitted
    text = card()
    for name in ("tau", "r_squared", "mean_absolute_error", "coverage", "flagged"):
        assert f"| {getattr(report.plain, name)} | {getattr(report.transformed, name)} |" in text
    assert f"{report.networks} checkpoints of {report.runs} test runs" in text
    assert "160 checkpoints of 80 training runs (relu)" in text
    assert "**Reads** relu networks of these layers, with any hidden widths: linear from 3, linear to 2." in text


def test_the_card_of_a_zoo_tells_its_recipe(card: Card) -> None:
    text = " ".join(card(zoo=ZOO).split())
    assert "on `cifar10_gray.npz`, 80 runs with activation relu, saved after epochs 2, 8 of 8" in text
    assert "batches of 32 images; 1 runs diverged." in text


def test_commands_repeat_what_was_done(card: Card) -> None:
    assert commands(card(data="my-zoo", zoo=ZOO)) == [
        "nfn zoo cnn --data cifar10_gray.npz --activation relu --count 80 --seed 3 --epochs 2 --epochs 8"
        " --batch-size 32 --images 500 --precision bfloat16 --packed --output my-zoo",
        "nfn train my-zoo --output my-head --kind monomial-nfn --epochs 40 --members 2 --seed 0",
        "nfn evaluate my-head my-zoo",
    ]


def test_another_width_and_other_populations_are_in_the_commands(card: Card) -> None:
    others = {
        "mnist": {"data": "zoo-mnist", "zoo": {**ZOO, "data": "mnist.npz"}},
        "two words": {"data": "x", "zoo": None},
    }
    text = card(data="my-zoo", zoo={**ZOO, "width": 8}, out_of_distribution=others)
    assert "80 runs of width 8 with activation relu" in " ".join(text.split())
    made, other, train, evaluate = commands(text)
    assert "--batch-size 32 --width 8 --images 500" in made
    assert other.startswith("nfn zoo cnn --data mnist.npz") and other.endswith("--output zoo-mnist")
    assert train.startswith("nfn train my-zoo --output my-head --kind monomial-nfn --epochs 40")
    assert train.endswith(" --ood mnist=zoo-mnist --ood 'two words=x'")
    assert evaluate == "nfn evaluate my-head my-zoo --ood mnist=zoo-mnist --ood 'two words=x'"


def test_the_card_gives_the_share_flagged_of_every_kind(fitted: Fitted, card: Card) -> None:
    text = card()
    assert len(fitted[1].out_of_distribution) == 3
    for own in fitted[1].out_of_distribution:
        assert f"| {own.kind} | {own.networks} | {own.flagged} | {own.trained} | {own.trained_flagged or ''} |" in text


def test_commands_without_a_zoo_name_every_option_that_was_given(card: Card) -> None:
    assert commands(card(labels="mine.csv", column="val_acc", activation="relu")) == [
        "nfn train relu --output my-head --kind monomial-nfn --epochs 40 --members 2 --seed 0"
        " --labels mine.csv --target val_acc --activation relu",
        "nfn evaluate my-head relu --labels mine.csv --target val_acc --activation relu",
    ]


@pytest.mark.parametrize("record", [{"zoo": ZOO}, {"labels": "a.csv", "column": "b", "activation": "relu"}])
def test_commands_are_ones_that_nfn_has(record: dict[str, Any], card: Card) -> None:
    for line in commands(card(**record)):
        program, *arguments = shlex.split(line)
        assert program == "nfn"
        command: Any = typer.main.get_command(make_app())
        while hasattr(command, "commands"):
            command = command.commands[arguments.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert known.issuperset(argument for argument in arguments if argument.startswith("--"))


def test_records_of_earlier_versions_name_other_populations(card: Card) -> None:
    """They call them `outsiders`; those of heads that classify give the folder's name alone."""
    text = card(outsiders={"mnist": {"data": "zoo-mnist", "zoo": ZOO}, "two words": "x"})
    made, train, _ = commands(text)
    assert made.startswith("nfn zoo cnn") and made.endswith("--output zoo-mnist")
    assert train.endswith(" --ood mnist=zoo-mnist --ood 'two words=x'")


def test_paragraphs_and_lists_are_wrapped_and_tables_are_not() -> None:
    words = " ".join(["word"] * 60)
    row = f"| {words} |"
    text = wrapped(f"# {words}\n\n{words}\n\n- {words}\n- a\n  b\n\n{row}")
    heading, paragraph, items, table = text.split("\n\n")
    assert (heading, table) == (f"# {words}", row)
    assert all(len(line) <= 120 for line in [*paragraph.splitlines(), *items.splitlines()])
    assert [line[:2] for line in items.splitlines()] == ["- ", "  ", "  ", "- "]
    assert items.endswith("\n- a b")


def test_the_card_gives_the_ceiling_of_tau_where_it_is_known(fitted: Fitted, card: Card) -> None:
    assert "ceiling" not in card()
    folder, report = fitted
    head = load_head(str(folder))
    text = model_card(head, accuracy_card(head, replace(report, tau_ceiling=Estimate(0.9, 0.88, 0.92))))
    assert "| ceiling of τ (label noise) | 0.900 [0.880, 0.920] | |" in text
    assert "\n- The ceiling of τ is Kendall's τ between accuracies on two halves of the test images" in text
