"""Packages that import a public name at its first use, so that their modules without torch can be used without it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any


def lazily(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package that imports its public names under `if TYPE_CHECKING:` alone.

    Type checkers read those imports; at run time each name is imported from where they say, when it is first asked for
    (PEP 562). As `attach_stub` of Scientific Python's SPEC 1, with the package's own file in place of a stub.

    Args:
        package: its `__name__`.

    >>> from nfn_cli.checkpoints import SUFFIXES
    >>> ".safetensors" in SUFFIXES
    True
    """

    @cache
    def homes() -> dict[str, str]:
        spec: Any = sys.modules[package].__spec__
        body = ast.parse(spec.loader.get_source(package)).body
        checked = [own for own in body if isinstance(own, ast.If) and ast.unparse(own.test) == "TYPE_CHECKING"]
        imports = [own for block in checked for own in block.body if isinstance(own, ast.ImportFrom)]
        return {alias.name: str(own.module) for own in imports for alias in own.names}

    def load(name: str) -> Any:
        if name.startswith("__") or name not in homes():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes()[name]), name)

    return load, lambda: sorted({*vars(sys.modules[package]), *homes()})
