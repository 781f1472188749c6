"""How the networks of a population are run, as far as it is known."""

from __future__ import annotations

from pathlib import Path

from nfn_cli.architectures import Architecture
from nfn_cli.nn import ForwardPass
from nfn_cli.zoo import SMALL_CNN_ZOO, BetweenSettings, ZooSettings, recipe_of

# These recipes pool over all of space, so any image that leaves a pixel will do.
_RECIPES = (ZooSettings.recipe, BetweenSettings.recipe, SMALL_CNN_ZOO)
_FORWARD_PASS = ForwardPass((32, 32), stride=2)


def known_forward_pass(data: Path, architecture: Architecture) -> ForwardPass | None:
    """How the networks in a folder are run; None where they are convolutions and nothing says how.

    Of a network that starts with a linear layer, its weights say it; of the networks of a zoo, its recipe.
    """
    if not architecture.layers[0].kernel:
        return ForwardPass()
    recipe = recipe_of(data if data.is_dir() else data.parent)
    return _FORWARD_PASS if recipe in _RECIPES and _FORWARD_PASS.mismatch(architecture) is None else None
