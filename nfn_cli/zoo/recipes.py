"""The kinds of zoos that can be generated, by the class of their settings. A new one is one file and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nfn_cli.zoo.between_recipe import BetweenRecipe, BetweenSettings
from nfn_cli.zoo.inr.siren_recipe import InrSettings, SirenRecipe
from nfn_cli.zoo.recipe import Recipe
from nfn_cli.zoo.settings import ZooSettingsBase
from nfn_cli.zoo.small_cnn_recipe import SmallCnnRecipe, ZooSettings
from nfn_cli.zoo.wild.wild_recipe import WildRecipe, WildSettings

RECIPES: Mapping[type[ZooSettingsBase], Callable[[Any], Recipe[Any, Any, Any, Any]]] = {
    ZooSettings: SmallCnnRecipe,
    InrSettings: SirenRecipe,
    WildSettings: WildRecipe,
    BetweenSettings: BetweenRecipe,
}


def recipe_for(settings: ZooSettingsBase) -> Recipe[Any, Any, Any, Any]:
    """The recipe of a zoo of these settings.

    Raises:
        DataError: settings that no zoo can be made of.
    """
    return RECIPES[type(settings)](settings)
