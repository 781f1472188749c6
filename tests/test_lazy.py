"""Packages that import their public names at the first use."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest


@pytest.mark.parametrize("package", ["nfn_cli.architectures", "nfn_cli.checkpoints", "nfn_cli.nn", "nfn_cli.scoring"])
def test_no_public_name_is_a_module_too(package: str) -> None:
    """Such a name would be the module, not what is in it, as soon as anything imports the module."""
    own = import_module(package)
    for module in pkgutil.iter_modules(own.__path__):
        with pytest.raises(AttributeError):
            own.__getattr__(module.name)
