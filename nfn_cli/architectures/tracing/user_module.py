"""The user's own module, made by a factory of theirs. This runs their code, and is done only where they ask for it."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from nfn_cli.architectures.tracing.inputs import Example, example_of
from nfn_cli.architectures.tracing.user_code import UserCodeError, user_code
from nfn_cli.errors import UsageError

OPTION = "--model"
_RETURNS = "return a torch.nn.Module, or (module, example inputs)"
_numbers = itertools.count()


@dataclass(frozen=True)
class UserModule:
    """A module in evaluation mode, with caches off.

    Attributes:
        spec: as the user wrote it.
        module: its weights are what the factory made them, and may be on the meta device.
        example: inputs of one forward pass, where the factory gives them.
    """

    spec: str
    module: nn.Module
    example: Example | None = None


def load_user_module(spec: str) -> UserModule:
    """Import a file or a module of the user's, and call a factory in it.

    Args:
        spec: `file.py:factory`, the file's folder being searched first for what it imports, or `module:factory`, looked
            for in the current directory first. The factory is a function or class of no arguments that makes a
            `torch.nn.Module`, or a module together with example inputs (see `example_of`); or such a module itself.

    Raises:
        UsageError: there is no such factory, it raises, or it makes no module.
    """
    source, colon, name = spec.rpartition(":")
    if not (source and colon and name):
        raise UsageError(OPTION, f"{spec!r} names no factory", "write FILE.py:FACTORY or MODULE:FACTORY")
    path = Path(source) if source.endswith(".py") or os.path.basename(source) != source else None
    if path is not None and not path.is_file():
        raise UsageError(OPTION, f"{source}: no such file", "write FILE.py:FACTORY")
    try:
        folder = Path(os.getcwd() if path is None else os.path.realpath(path.parent))
    except OSError as error:
        raise UsageError(OPTION, f"{spec}: the current directory is gone", "go to one that is there") from error
    try:
        with user_code(folder):
            space = importlib.import_module(source) if path is None else _imported(path)
    except UserCodeError as error:
        remedy = "make that work, or write FILE.py:FACTORY" if path is None else "make that work"
        raise UsageError(OPTION, f"{source} cannot be imported ({error})", remedy) from error
    try:
        made: object = attrgetter(name)(space)
    except AttributeError as error:
        raise UsageError(OPTION, f"{source} has no {name}", "name a function in it that makes the module") from error
    try:
        with user_code(folder):
            if not isinstance(made, nn.Module) and callable(made):
                made = made()
    except UserCodeError as error:
        remedy = "make that work as a call without arguments"
        raise UsageError(OPTION, f"{spec} cannot be made ({error})", remedy) from error
    return _checked(spec, made)


def _imported(path: Path) -> ModuleType:
    """A file as a module under a name of its own, so that it hides no module and none hides it."""
    name = f"_nfn_user_module_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, os.path.realpath(path))
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _checked(spec: str, made: object) -> UserModule:
    module, example = made, None
    if isinstance(made, tuple):
        if len(made) != 2 or not isinstance(made[0], nn.Module):
            held = ", ".join(type(part).__name__ for part in made[:5])
            raise UsageError(OPTION, f"{spec} returns a tuple of ({held})", _RETURNS)
        module, inputs = made
        try:
            example = None if inputs is None else example_of(inputs)
        except ValueError as error:
            cause, _, remedy = str(error).partition("; ")
            raise UsageError(OPTION, f"{spec} returns {cause}", remedy) from error
    if not isinstance(module, nn.Module):
        raise UsageError(OPTION, f"{spec} returns a {type(module).__name__}", _RETURNS)
    module = unwrapped(module)
    try:
        with user_code():
            module.eval()
            without_caches(module)
    except UserCodeError as error:
        raise UsageError(OPTION, f"{spec} cannot be set to evaluate ({error})", _RETURNS) from error
    if module.training:
        raise UsageError(OPTION, f"{spec} stays in training mode behind eval()", "make eval() work")
    return UserModule(spec, module, example)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module within `DataParallel` and `torch.compile`, whose names checkpoints are read by."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif type(module).__name__ == "OptimizedModule" and isinstance(
            inner := getattr(module, "_orig_mod", None), nn.Module
        ):
            module = inner
        else:
            return module


def without_caches(module: nn.Module) -> None:
    """Set `use_cache` off in the configurations of a module and in those within them, as Hugging Face has them."""
    seen: set[int] = set()
    waiting = [getattr(part, "config", None) for part in module.modules()]
    while waiting:
        config = waiting.pop()
        if config is None or id(config) in seen or isinstance(config, nn.Module | type):
            continue
        seen.add(id(config))
        if getattr(config, "use_cache", None) is True:
            with suppress(Exception):  # one that cannot be set stays: tracing shows the effect
                config.use_cache = False
        parts: dict[str, Any] = getattr(config, "__dict__", {})
        waiting += [part for name, part in parts.items() if name.endswith(("config", "encoder", "decoder"))]
