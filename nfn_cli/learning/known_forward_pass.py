"""How the networks of a population are run, as far as anybody knows."""

from __future__ import annotations

from pathlib import Path

from nfn_cli.architectures import Architecture
from nfn_cli.nn import ForwardPass
from nfn_cli.zoo import SMALL_CNN_ZOO, recipe_of

# Both recipes pool over all of space, so any image that leaves a pixel will do.
_RECIPES = {
    "small-cnn": ForwardPass((32, 32), stride=2),
    SMALL_CNN_ZOO: ForwardPass((32, 32), stride=2),
}


def known_forward_pass(data: Path, architecture: Architecture) -> ForwardPass | None:
    """How the networks in a folder are run; None where they are convolutions and nothing tells.

    A network that starts with a linear layer holds no secret; a zoo's recipe tells of its networks.
    """
    if not architecture.layers[0].kernel:
        return ForwardPass()
    recipe = recipe_of(data if data.is_dir() else data.parent)
    told = _RECIPES.get(recipe or "")
    return told if told is not None and told.mismatch(architecture) is None else None
