"""Find the state dict inside what a training script saved, and the facts beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Fact
from nfn_cli.checkpoints.printable import printable, printable_list
from nfn_cli.errors import CheckpointError

# Where training scripts put the model's state dict, the most telling name first.
STATE_DICT_KEYS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "parameters",
    "ema",
    "model_ema",
    "ema_state_dict",
)
# Tensors that are not the model's weights.
_NOT_MODEL = ("optim", "sched", "scaler", "history", "rng", "loss", "metric", "callbacks")
FACTS = ("activation", "arch", "omega_0", "pool", "value_range")
_CONFIGURATIONS = ("config", "hparams", "hyper_parameters", "args", "meta", "metadata")
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")
_DEEPEST = 8

_Value = TypeVar("_Value")


def find_state_dict(path: Path, loaded: Any) -> dict[str, Tensor]:
    """The model's tensors in a loaded object, with their names as in the file.

    Raises:
        CheckpointError: as `find_container`.
    """
    return _tensors(find_container(path, loaded))


def find_container(path: Path, loaded: Any) -> dict[Any, Any]:
    """The dictionary in a loaded object that holds the model's tensors.

    The first of these that holds a weight matrix: what stands under the known names of `STATE_DICT_KEYS`, the object
    itself, what stands under a single unknown name. Without any matrix, the first that holds tensors. Optimizer
    states, histories and other entries are passed over.

    Raises:
        CheckpointError: no tensor is found, or several entries could be the model.
    """
    if isinstance(loaded, Tensor):
        raise CheckpointError(path, "the file holds a single tensor", "save the whole state dict")
    for enough in (_has_matrix, bool):
        if (found := _Search(path, enough).below(loaded)) is not None:
            return found
    entries = printable_list(_entries(loaded)) or "nothing" if isinstance(loaded, dict) else type(loaded).__name__
    raise CheckpointError(path, f"no state dict in it (it holds: {entries})", "save model.state_dict()")


def find_facts(loaded: Any) -> dict[str, Fact]:
    """The known facts at the top of a loaded object or in its configuration entry."""
    top = _entries(loaded)
    facts: dict[str, Fact] = {}
    for source in (*(_entries(top.get(name)) for name in _CONFIGURATIONS), top):
        facts |= {key: source[key] for key in FACTS if isinstance(source.get(key), str | int | float | bool)}
    return facts


def other_tensors(loaded: Any, container: dict[Any, Any]) -> tuple[str, ...]:
    """The entries at the top of a loaded object, other than the one with the model's `container`, that hold tensors:
    an optimizer's state, a moving average. Names are printable.
    """
    if loaded is container:
        return ()
    return tuple(
        printable(name)
        for name, value in _entries(loaded).items()
        if not _holds(value, lambda item: item is container) and _holds(value, lambda item: isinstance(item, Tensor))
    )


def strip_wrappers(tensors: Mapping[str, _Value]) -> dict[str, _Value]:
    """The same without the prefixes that DataParallel, torch.compile and Lightning put before every name."""
    names = list(tensors)
    while names:
        prefix = next((p for p in _WRAPPERS if all(name.startswith(p) and name != p for name in names)), None)
        if prefix is None:
            break
        names = [name.removeprefix(prefix) for name in names]
    return dict(zip(names, tensors.values(), strict=True))


class _Search:
    """One descent. Every dictionary is entered once: one that holds itself, or others many times, would not end."""

    def __init__(self, path: Path, enough: Callable[[dict[str, Tensor]], bool]) -> None:
        self.path = path
        self.enough = enough
        self.known: dict[int, dict[Any, Any] | None] = {}

    def below(self, value: Any, depth: int = 0) -> dict[Any, Any] | None:
        if not isinstance(value, dict) or depth > _DEEPEST:
            return None
        if id(value) not in self.known:
            self.known[id(value)] = None
            self.known[id(value)] = self._enter(value, depth)
        return self.known[id(value)]

    def _enter(self, value: dict[Any, Any], depth: int) -> dict[Any, Any] | None:
        entries = _entries(value)
        for key in STATE_DICT_KEYS:
            if (found := self.below(entries.get(key), depth + 1)) is not None:
                return found
        if self.enough(_tensors(value)):
            return value
        below = {name: self.below(item, depth + 1) for name, item in entries.items() if not _is_bookkeeping(name)}
        # The same dictionary under two names is one candidate.
        candidates = {id(found): (name, found) for name, found in below.items() if found is not None}
        if len(candidates) > 1:
            listed = printable_list(name for name, _ in candidates.values())
            cause = f"several entries could be the model ({listed})"
            raise CheckpointError(self.path, cause, "save the one you mean by itself")
        return next((found for _, found in candidates.values()), None)


def _holds(value: Any, wanted: Callable[[Any], bool]) -> bool:
    """Whether a value is wanted, or holds one that is. What holds itself, or others many times, is entered once."""
    seen: set[int] = set()
    level = [value]
    for _ in range(_DEEPEST):
        if any(wanted(item) for item in level):
            return True
        below: list[Any] = []
        for item in level:
            if id(item) not in seen and isinstance(item, dict | list | tuple):
                seen.add(id(item))
                below += dict.values(item) if isinstance(item, dict) else item
        level = below
    return False


def _tensors(value: dict[Any, Any]) -> dict[str, Tensor]:
    return {name: _plain(item) for name, item in _entries(value).items() if isinstance(item, Tensor)}


def _entries(value: Any) -> dict[str, Any]:
    """The named entries of a dictionary, read past what a file may have put over its methods."""
    if not isinstance(value, dict):
        return {}
    return {str(name): item for name, item in dict.items(value) if isinstance(name, str | int)}


def _has_matrix(tensors: dict[str, Tensor]) -> bool:
    return any(tensor.ndim >= 2 for tensor in tensors.values())


def _is_bookkeeping(name: str) -> bool:
    return any(part in name.lower() for part in _NOT_MODEL)


def _plain(tensor: Tensor) -> Tensor:
    """The bare tensor: no parameter, no gradient, none of the attributes that a file may set on it."""
    return Tensor.detach(tensor)
