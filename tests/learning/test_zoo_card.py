"""The commands and words that a card has of a zoo of small CNNs."""

from __future__ import annotations

from dataclasses import replace

from nfn_cli.learning.zoo_card import zoo_command, zoo_paragraph
from nfn_cli.zoo import BetweenSettings, ZooSettings

SETTINGS = ZooSettings("images.npz", "tanh", 5, packed=True)


def record(**changes: object) -> dict[str, object]:
    return {**replace(SETTINGS, **changes).record(), "diverged": []}  # type: ignore[arg-type]


def test_the_recipe_alone_says_nothing_of_what_it_leaves_out() -> None:
    command = zoo_command(record(), "zoo")
    assert "--batch-size 64" in command and "--epochs 8" in command
    assert not any(name in command for name in ("augmentation", "preprocessing", "schedule", "varied"))
    assert "augmentation" not in zoo_paragraph(record())


def test_what_departs_from_the_recipe_is_told() -> None:
    changed = record(schedule="cosine", augmentation="flip", preprocessing="unit")
    command = zoo_command(changed, "zoo")
    for option in ("--schedule cosine", "--augmentation flip", "--preprocessing unit"):
        assert option in command
    assert "schedule cosine, augmentation flip, preprocessing unit" in zoo_paragraph(changed)


def test_a_varied_zoo_names_none_of_what_it_draws() -> None:
    command = zoo_command(record(varied=True), "zoo")
    assert "--count 5 --seed 0 --varied --precision" in command
    assert "standardised" in zoo_paragraph(record(varied=True))


def test_an_older_record_is_of_the_recipe() -> None:
    older = record()
    for name in ("schedule", "augmentation", "preprocessing", "varied", "width"):
        del older[name]
    assert zoo_command(older, "zoo") == zoo_command(record(), "zoo")
    assert zoo_paragraph(older) == zoo_paragraph(record())


def test_networks_between_epochs_are_made_by_their_command() -> None:
    settings = BetweenSettings("far/images.npz", "far/zoo", "tanh", 16, "float32", 0, each=2, seed=4, packed=True)
    made = {"recipe": settings.recipe, **settings.record(), "diverged": []}
    assert zoo_command(made, "copies") == (
        "nfn zoo between zoo --data images.npz --each 2 --seed 4 --packed --output copies"
    )
