"""What a model card says of a zoo: how it was made, and the command that makes it again."""

from __future__ import annotations

from shlex import quote
from typing import Any

from nfn_cli.zoo.between_recipe import BetweenSettings
from nfn_cli.zoo.hyperparameters import AUGMENTATIONS, PREPROCESSINGS, SCHEDULES
from nfn_cli.zoo.inr.siren_recipe import InrSettings
from nfn_cli.zoo.small_cnn import WIDTH

_USUAL = {"schedule": SCHEDULES[0], "augmentation": AUGMENTATIONS[0], "preprocessing": PREPROCESSINGS[0]}


def zoo_paragraph(zoo: dict[str, Any]) -> str:
    """How a zoo was made, from its record."""
    if zoo.get("recipe") == InrSettings.recipe:
        return f"""The zoo: a SIREN of {zoo["hidden_layers"]} hidden layers of {zoo["width"]} neurons for each of
{zoo["count"]:,} training and {zoo["test_count"]:,} test pictures of `{zoo["data"]}`, {zoo["fits"]} independent fit(s)
each of {zoo["steps"]} full-batch steps of Adam."""
    width = f" of width {zoo['width']}" if zoo.get("width", WIDTH) != WIDTH else ""
    if zoo.get("varied"):
        return f"""The zoo: the recipe of the Small CNN Zoo (Unterthiner et al. 2020, arXiv 2002.11448) on
`{zoo["data"]}`, {zoo["count"]} runs{width} with activation {zoo["activation"]}, each on a tenth to all of the training
images, of which the recipe takes its fraction, for 1 to 20 epochs, in batches of 32 to 512, with a constant or cosine
schedule, with and without augmentation, on pixels in [-1, 1], in [0, 1] or standardised; saved after a quarter, a half
and all of its epochs; {len(zoo["diverged"])} runs diverged."""
    epochs = ", ".join(map(str, zoo["epochs"]))
    special = "".join(f", {name} {zoo[name]}" for name, usual in _USUAL.items() if zoo.get(name, usual) != usual)
    return f"""The zoo: the recipe of the Small CNN Zoo (Unterthiner et al. 2020, arXiv 2002.11448) on `{zoo["data"]}`,
{zoo["count"]} runs{width} with activation {zoo["activation"]}, saved after epochs {epochs} of
{max(zoo["epochs"])}, batches of {zoo["batch_size"]} images{special}; {len(zoo["diverged"])} runs diverged."""


def zoo_command(zoo: dict[str, Any], out: str) -> str:
    """The command that makes a zoo again, from its record, in the folder `out`."""
    packed = f"{' --packed' if zoo['packed'] else ''} --output {out}"
    if zoo.get("recipe") == InrSettings.recipe:
        scale = f" --initial-scale {zoo['initial_scale']:g}" if zoo.get("initial_scale", 1.0) != 1.0 else ""
        return (
            f"nfn zoo inr --data {quote(zoo['data'])} --count {zoo['count']} --test-count {zoo['test_count']}"
            f" --fits {zoo['fits']} --width {zoo['width']} --hidden-layers {zoo['hidden_layers']}"
            f" --omega-0 {zoo['omega_0']:g} --steps {zoo['steps']} --learning-rate {zoo['learning_rate']:g}{scale}"
            f" --seed {zoo['seed']}{packed}"
        )
    if zoo.get("recipe") == BetweenSettings.recipe:
        seed = f" --seed {zoo['seed']}" if zoo["seed"] else ""
        return f"nfn zoo between {quote(zoo['zoo'])} --data {quote(zoo['data'])} --each {zoo['each']}{seed}{packed}"
    epochs = " ".join(f"--epochs {epoch}" for epoch in zoo["epochs"])
    epochs = "--varied" if zoo.get("varied") else f"{epochs} --batch-size {zoo['batch_size']}"
    images = f" --images {zoo['image_limit']}" if zoo["image_limit"] else ""
    width = f" --width {zoo['width']}" if zoo.get("width", WIDTH) != WIDTH else ""
    special = "".join(f" --{name} {zoo[name]}" for name, usual in _USUAL.items() if zoo.get(name, usual) != usual)
    return (
        f"nfn zoo cnn --data {quote(zoo['data'])} --activation {zoo['activation']} --count {zoo['count']}"
        f" --seed {zoo['seed']} {epochs}{width}{special}{images}"
        f" --precision {zoo['precision']}{packed}"
    )
