"""Find the state dict inside what a training script saved, and the facts beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from nfn_cli.checkpoints.checkpoint import Fact
from nfn_cli.checkpoints.printable import printable, printable_list
from nfn_cli.checkpoints.unread_objects import Husk, unread_kind
from nfn_cli.errors import CheckpointError

# Where training scripts put the model's state dict, the clearest name first.
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
FACTS = (
    "activation",
    "arch",
    "chain",
    "first_omega_0",
    "hidden_omega_0",
    "omega_0",
    "pool",
    "prefix",
    "value_range",
    "w0",
    "w0_initial",
)
_MOST_NUMBERS = 64  # of a fact that has one for each layer
_CONFIGURATIONS = ("config", "hparams", "hyper_parameters", "args", "meta", "metadata")
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")
_DEEPEST = 8

_Value = TypeVar("_Value")


def find_state_dict(path: Path, loaded: Any, entry: str | None = None) -> dict[str, Tensor]:
    """The model's tensors in a loaded object, with their names as in the file.

    Raises:
        CheckpointError: as `find_container`.
    """
    return _tensors(find_container(path, loaded, entry))


def find_container(path: Path, loaded: Any, entry: str | None = None) -> dict[Any, Any]:
    """The dictionary in a loaded object that holds the model's tensors.

    The first of these that holds a weight matrix: what stands under the known names of `STATE_DICT_KEYS`, the object
    itself, what stands under a single unknown name. Without any matrix, the first that holds tensors. Optimizer
    states, histories and other entries are skipped.

    Args:
        entry: look in this entry alone; dots lead into nested ones.

    Raises:
        CheckpointError: no tensor is found, several entries could be the model, there is no such entry, or the model
            or some of it was pickled as an object that is no tensor.
    """
    value = loaded if entry is None else _at(path, loaded, entry)
    if isinstance(value, Tensor):
        if entry is not None:
            raise CheckpointError(path, f"its entry '{printable(entry)}' is a single tensor", "name a state dict")
        raise CheckpointError(path, "the file holds a single tensor", "save the whole state dict")
    if isinstance(value, Husk):
        raise _pickled(path, value)
    for enough in (_has_matrix, bool):
        search = _Search(path, enough)
        found = search.below(value)
        if isinstance(found, Husk):
            raise _pickled(path, found)
        if found is not None:
            _refuse_lost(path, found)
            return found
    if search.lost is not None:
        raise _pickled(path, search.lost)
    entries = printable_list(_entries(value)) or "nothing" if isinstance(value, dict) else type(value).__name__
    if _is_optimizer(value):
        cause = f"only an optimizer's state in it (it holds: {entries})"
        raise CheckpointError(path, cause, "give the file that holds the network's own weights")
    raise CheckpointError(path, f"no state dict in it (it holds: {entries})", "save model.state_dict()")


def find_facts(loaded: Any, entry: str | None = None) -> dict[str, Fact]:
    """The known facts at the top of a loaded object or in its configuration entry; those of an entry outweigh them."""
    facts: dict[str, Fact] = {}
    for top in (_entries(loaded), *([] if entry is None else [_entries(_entry(loaded, entry))])):
        for source in (*(_entries(top.get(name)) for name in _CONFIGURATIONS), top):
            facts |= {key: fact for key in FACTS if (fact := _fact(source.get(key))) is not None}
    return facts


def _fact(value: Any) -> Fact | None:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple) and 0 < len(value) <= _MOST_NUMBERS and all(map(_is_number, value)):
        return tuple(value)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _entry(loaded: Any, entry: str) -> Any:
    """What stands under a name with dots, which the names in the file may have as well; None if nothing does."""
    entries = _entries(loaded)
    if entry in entries:
        return entries[entry]
    for place, sign in enumerate(entry):
        if sign == "." and (found := _entry(entries.get(entry[:place]), entry[place + 1 :])) is not None:
            return found
    return None


def _at(path: Path, loaded: Any, entry: str) -> Any:
    value = _entry(loaded, entry)
    if value is None:
        named = printable_list(_entries_with_tensors(loaded))
        remedy = f"it has: {named}" if named else "name no entry"
        raise CheckpointError(path, f"no entry '{printable(entry)}' with tensors in it", remedy)
    return value


def _entries_with_tensors(loaded: Any) -> list[str]:
    """Names of the dictionaries below the top that hold tensors, but for optimizers' states."""
    names: list[str] = []
    seen: set[int] = set()
    level = [("", loaded)]
    for _ in range(_DEEPEST):
        below: list[tuple[str, Any]] = []
        for name, value in level:
            if not isinstance(value, dict) or _is_optimizer(value):
                continue
            if name and _tensors(value):
                names.append(name)
            if id(value) not in seen:
                seen.add(id(value))
                prefix = f"{name}." if name else ""
                below += [(f"{prefix}{key}", item) for key, item in _entries(value).items() if not _is_bookkeeping(key)]
        level = below
    return names


def _is_optimizer(value: Any) -> bool:
    """Whether it is what `optimizer.state_dict()` gives."""
    return isinstance(value, dict) and {"state", "param_groups"} <= _entries(value).keys()


def _refuse_lost(path: Path, container: dict[Any, Any]) -> None:
    """Refuse a state dict some of whose weights are in objects that are not read."""
    for name, item in _entries(container).items():
        if "_packed_params" in name:
            cause = f"a network of PyTorch's quantized modules ('{printable(name)}')"
            raise CheckpointError(path, cause, "give the checkpoint of the network before it was quantized")
        if isinstance(item, Husk) and _may_be_weights(item) and not _is_bookkeeping(name):
            cause = f"its entry '{printable(name)}' is a pickled object ({printable(item.name)}) beside the tensors"
            raise CheckpointError(path, cause, "save tensors alone: torch.save(model.state_dict(), ...)")


def _may_be_weights(husk: Husk) -> bool:
    # A parameter may have been saved before it was given its shape.
    return husk.held or husk.array or husk.name.startswith("torch.nn.parameter.")


def _pickled(path: Path, husk: Husk) -> CheckpointError:
    cause = f"it holds a pickled object ({printable(husk.name)}) in place of a state dict; it was not loaded"
    return CheckpointError(path, cause, "save the state dict instead: torch.save(model.state_dict(), ...)")


def other_tensors(
    loaded: Any, container: dict[Any, Any], moved: Callable[[Tensor], bool] = lambda tensor: False
) -> tuple[str, ...]:
    """The entries at the top of a loaded object, other than the one with the model's `container`, that hold tensors:
    an optimizer's state, a moving average. Names are printable.

    Args:
        moved: whether a tensor is the same memory as one of the model's.
    """

    def is_other(item: Any) -> bool:
        return not moved(item) if isinstance(item, Tensor) else isinstance(item, Husk) and item.held

    if loaded is container:
        return ()
    return tuple(
        printable(name)
        for name, value in _entries(loaded).items()
        if not _holds(value, lambda item: item is container) and _holds(value, is_other)
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


# The dictionary that holds the model's tensors, or an object that may be the model.
_Found = dict[Any, Any] | Husk | None


class _Search:
    """One descent. Every dictionary is entered once: one that holds itself, or others many times, would not end."""

    def __init__(self, path: Path, enough: Callable[[dict[str, Tensor]], bool]) -> None:
        self.path = path
        self.enough = enough
        self.known: dict[int, _Found] = {}
        self.lost: Husk | None = None  # what stands in the model's place, though no tensors are known in it

    def below(self, value: Any, *place: str) -> _Found:
        """What is found in a value that stands at this place, given by the names that lead there."""
        if isinstance(value, Husk):
            return value if value.held else None
        if not isinstance(value, dict) or len(place) > _DEEPEST or _is_optimizer(value):
            return None
        if id(value) not in self.known:
            self.known[id(value)] = None
            self.known[id(value)] = self._enter(value, *place)
        return self.known[id(value)]

    def _enter(self, value: dict[Any, Any], *place: str) -> _Found:
        entries = _entries(value)
        for key in STATE_DICT_KEYS:
            item = entries.get(key)
            if isinstance(item, Husk):
                self.lost = self.lost or item
            if (found := self.below(item, *place, key) or _first_array(item)) is not None:
                return found
        if self.enough(_tensors(value)):
            return value
        below = {
            name: self.below(item, *place, name)
            for name, item in entries.items()
            if not _is_bookkeeping(name) and not (isinstance(item, Husk) and name in _CONFIGURATIONS)
        }
        # The same dictionary under two names is one candidate.
        candidates = {id(found): (name, found) for name, found in below.items() if found is not None}
        if len(candidates) > 1:
            listed = printable_list(".".join((*place, name)) for name, _ in candidates.values())
            cause = f"several entries could be the model ({listed})"
            remedy = "name one by `entry: NAME` in a file nfn.yaml beside it (some commands: --entry), or save it alone"
            raise CheckpointError(self.path, cause, remedy)
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
    return {name: plain(item) for name, item in _entries(value).items() if isinstance(item, Tensor)}


def _entries(value: Any) -> dict[str, Any]:
    """The named entries of a dictionary, read past what a file may have put over its methods."""
    if not isinstance(value, dict):
        return {}
    return {str(name): item for name, item in dict.items(value) if isinstance(name, str | int)}


def _first_array(value: Any) -> Husk | None:
    """An array in a dictionary, which is then a state dict of NumPy's arrays."""
    return next((item for item in _entries(value).values() if isinstance(item, Husk) and item.array), None)


def _has_matrix(tensors: dict[str, Tensor]) -> bool:
    return any(tensor.ndim >= 2 for tensor in tensors.values())


def _is_bookkeeping(name: str) -> bool:
    return any(part in name.lower() for part in _NOT_MODEL)


def plain(tensor: Tensor) -> Tensor:
    """The bare tensor: no parameter, no gradient, none of the attributes that a file may set on it."""
    return tensor if unread_kind(tensor) else Tensor.detach(tensor)
