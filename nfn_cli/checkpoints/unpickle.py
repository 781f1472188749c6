"""Read the pickle of a PyTorch file without running anything that is in it.

It is an interpreter of its own rather than `torch.load(weights_only=True)`. That one refuses every object it does not
know; classes can be put in for them (`torch.serialization.safe_globals`), but for all threads of the process at once,
it then still refuses what acts like a list or a dictionary (`defaultdict`), and it reads protocol 2 alone. Nor is it
`pickle.Unpickler` with a `find_class` of its own: that one sets attributes on whatever it has been given (BUILD), calls
methods by name (APPENDS, SETITEMS), and allots memory by what a file claims.

Here the classes and functions that a file names are never looked up. A few names stand for functions of `rebuild`,
which check every argument and make tensors and plain containers; every other name is a `Husk`. A husk is never called:
calling it, making an instance of it, setting its state or filling it gives a husk again, and drops what it was given.
So NumPy, above all, never sees a stranger's bytes. Opcodes that `torch.save` does not write are refused.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

from torch import Tensor

from nfn_cli.checkpoints.attack_names import is_attack
from nfn_cli.checkpoints.rebuild import KNOWN, Maker, Storage, checked_key
from nfn_cli.checkpoints.unread_objects import Husk, NotSaved, unread_kind

_LONGEST_NAME = 1000
_LONGEST_NUMBER = 255  # bytes; longer ones take for ever to be shown
_MOST_LOOKED_AT = 1_000_000
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}


class AttackError(Exception):
    """The pickle names what no network needs; the message is the name."""


class OpcodeError(Exception):
    """The pickle has an opcode that is not read; the message names it."""


# Gives the storage of a persistent id.
FindStorage = Callable[[tuple[Any, ...]], Storage]


class Unpickler:
    """Reads one pickle.

    Args:
        file: at the pickle's beginning; `load` leaves it behind its end.
        size: bytes that may be in the file.
        find_storage: gives the storage of a persistent id; none may be in the pickle without it.

    Attributes:
        lossy: whether something of the pickle is not in what `load` has returned.
    """

    def __init__(self, file: BinaryIO, size: int, find_storage: FindStorage | None = None) -> None:
        self.file = file
        self.size = size
        self.find_storage = find_storage
        self.lossy = False
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.looked_at = 0

    def load(self) -> Any:
        """The object.

        Raises:
            AttackError, OpcodeError: it is not read.
            Exception: the pickle is damaged, in ways without number (KeyError, IndexError, struct.error ...).
        """
        read = self.file.read
        while True:
            code = read(1)
            act = _ACTIONS.get(code)
            if act is not None:
                act(self)
            elif code == pickle.STOP:
                return self.stack.pop()
            else:
                raise _unknown(code)

    def read(self, count: int) -> bytes:
        data = self.file.read(count) if count <= self.size else b""
        if len(data) != count:
            raise EOFError
        return data

    def natural(self, width: int) -> int:
        return int.from_bytes(self.read(width), "little")

    def line(self) -> str:
        line = self.file.readline(_LONGEST_NAME)
        if not line.endswith(b"\n"):
            raise EOFError
        return line[:-1].decode("utf-8")

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def named(self, module: str, name: str) -> Any:
        """What a name stands for."""
        if (module, name) in NAME_MAPPING:
            module, name = NAME_MAPPING[module, name]
        module = IMPORT_MAPPING.get(module, module)
        whole = f"{module}.{name}"
        if whole in KNOWN:
            return KNOWN[whole]
        if whole == "builtins.getattr":
            return _GETATTR
        if is_attack(module, name):
            raise AttackError(whole)
        self.lossy = True
        return Husk(whole)

    def called(self, function: Any, *given: Any) -> Any:
        """The result of a call. `given` are the arguments: a tuple, and perhaps a dictionary of those with names."""
        if isinstance(function, Maker):
            (arguments,) = given
            made = function.make(*arguments)
            self.lossy |= isinstance(made, Tensor) and unread_kind(made) is not None
            self.lossy |= isinstance(made, Husk) or function is KNOWN["torch._tensor._rebuild_from_type_v2"]
            return made
        if function is _GETATTR:
            return self.attribute(*given)
        if not isinstance(function, Husk):
            raise ValueError("a call of no function")
        return Husk(function.name, held=self.holds_tensors(given))

    def attribute(self, given: Any) -> Husk:
        """How pickles name a class within a class."""
        if len(given) == 2 and isinstance(given[0], Husk) and type(given[1]) is str:
            module, _, name = given[0].name.rpartition(".")
            whole = f"{name}.{given[1]}"
            if not is_attack(module, whole):
                return Husk(f"{module}.{whole}")
        raise AttackError("builtins.getattr")

    def fill(self, husk: Husk, items: Any) -> None:
        husk.held |= self.holds_tensors(items)

    def holds_tensors(self, value: Any) -> bool:
        """Whether there are tensors in it. True as well when too much has been looked at to go on."""
        seen: set[int] = set()
        level = [value]
        while level:
            item = level.pop()
            if isinstance(item, Tensor | Storage) or (isinstance(item, Husk) and item.held):
                return True
            if isinstance(item, dict | list | tuple | set) and id(item) not in seen:
                seen.add(id(item))
                self.looked_at += len(item)
                if self.looked_at > _MOST_LOOKED_AT:
                    return True
                level += dict.values(item) if isinstance(item, dict) else item
        return False


def _unknown(code: bytes) -> Exception:
    opcode = _OPCODES.get(ord(code)) if code else None
    return EOFError() if opcode is None else OpcodeError(f"{opcode.name}, protocol {opcode.proto}")


# Stands for the builtin, which is never called.
_GETATTR = NotSaved()


def _proto(self: Unpickler) -> None:
    self.read(1)


def _frame(self: Unpickler) -> None:
    self.read(8)


def _global(self: Unpickler) -> None:
    module = self.line()
    self.stack.append(self.named(module, self.line()))


def _stack_global(self: Unpickler) -> None:
    name, module = self.stack.pop(), self.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("no name")
    self.stack.append(self.named(module, name))


def _reduce(self: Unpickler) -> None:
    arguments = self.stack.pop()
    if type(arguments) is not tuple:
        raise ValueError("no arguments")
    self.stack[-1] = self.called(self.stack[-1], arguments)


def _newobj_ex(self: Unpickler) -> None:
    names, arguments, kind = self.stack.pop(), self.stack.pop(), self.stack.pop()
    self.stack.append(self.called(kind, arguments, names))


def _build(self: Unpickler) -> None:
    state = self.stack.pop()
    target = self.stack[-1]
    if isinstance(target, Husk):
        self.fill(target, state)
    elif type(target) is OrderedDict and isinstance(state, dict):
        # What PyTorch keeps beside a state dict (`_metadata`), for where it is written again.
        vars(target).update({key: value for key, value in dict.items(state) if type(key) is str})
    elif isinstance(target, Tensor):
        self.lossy = True
    else:
        raise ValueError("state of what has none")


def _append_all(self: Unpickler, items: list[Any]) -> None:
    target = self.stack[-1]
    if isinstance(target, Husk):
        self.fill(target, items)
    elif type(target) is list:
        target += items
    else:
        raise ValueError("no list")


def _add_items(self: Unpickler) -> None:
    items = self.since_mark()
    target = self.stack[-1]
    if isinstance(target, Husk):
        self.fill(target, items)
    elif type(target) is set:
        target.update(checked_key(item) for item in items)
    else:
        raise ValueError("no set")


def _set_all(self: Unpickler, items: list[Any]) -> None:
    target = self.stack[-1]
    if isinstance(target, Husk):
        self.fill(target, items)
    elif type(target) in (dict, OrderedDict, Counter):
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value
    else:
        raise ValueError("no dictionary")


def _pop_last(self: Unpickler, count: int) -> list[Any]:
    if len(self.stack) < count + 1:
        raise IndexError
    items = self.stack[-count:]
    del self.stack[-count:]
    return items


def _last_as_tuple(self: Unpickler, count: int) -> None:
    if len(self.stack) < count:
        raise IndexError
    self.stack[-count:] = [tuple(self.stack[-count:])]


def _push_since_mark(self: Unpickler, kind: Callable[[list[Any]], Any]) -> None:
    items = self.since_mark()
    self.stack.append(kind(items))


def _frozen(self: Unpickler) -> None:
    items = self.since_mark()
    self.lossy = True
    self.stack.append(Husk("builtins.frozenset", held=self.holds_tensors(items)))


def _number(self: Unpickler, width: int) -> None:
    count = self.natural(width)
    if count > _LONGEST_NUMBER:
        raise ValueError("a number of too many digits")
    self.stack.append(int.from_bytes(self.read(count), "little", signed=True))


def _text(self: Unpickler, width: int) -> None:
    self.stack.append(str(self.read(self.natural(width)), "utf-8", "surrogatepass"))


def _bytes(self: Unpickler, width: int) -> None:
    self.stack.append(self.read(self.natural(width)))


def _old_text(self: Unpickler, width: int) -> None:
    """A string of Python 2, text or bytes."""
    data = self.read(self.natural(width))
    try:
        self.stack.append(data.decode("utf-8"))
    except UnicodeDecodeError:
        self.stack.append(data)


def _persistent(self: Unpickler) -> None:
    named = self.stack.pop()
    if type(named) is tuple and len(named) == 4 and named[0] == "module" and isinstance(named[1], Husk):
        self.stack.append(named[1])  # how legacy files name the class of a module, with its source
        return
    if self.find_storage is None or type(named) is not tuple or named[0] not in ("storage", b"storage"):
        raise ValueError("no storage")
    self.stack.append(self.find_storage(named))


def _mark(self: Unpickler) -> None:
    self.marked.append(self.stack)
    self.stack = []


def _memoize(self: Unpickler, width: int | None) -> None:
    self.memo[len(self.memo) if width is None else self.natural(width)] = self.stack[-1]


_Action = Callable[[Unpickler], None]


def _push(make: Callable[[Unpickler], Any]) -> _Action:
    return lambda self: self.stack.append(make(self))


_ACTIONS: dict[bytes, _Action] = {
    pickle.PROTO: _proto,
    pickle.FRAME: _frame,
    pickle.GLOBAL: _global,
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: _reduce,
    pickle.NEWOBJ: _reduce,
    pickle.NEWOBJ_EX: _newobj_ex,
    pickle.BUILD: _build,
    pickle.APPEND: lambda self: _append_all(self, _pop_last(self, 1)),
    pickle.APPENDS: lambda self: _append_all(self, self.since_mark()),
    pickle.ADDITEMS: _add_items,
    pickle.SETITEM: lambda self: _set_all(self, _pop_last(self, 2)),
    pickle.SETITEMS: lambda self: _set_all(self, self.since_mark()),
    pickle.MARK: _mark,
    pickle.TUPLE: lambda self: _push_since_mark(self, tuple),
    pickle.TUPLE1: lambda self: _last_as_tuple(self, 1),
    pickle.TUPLE2: lambda self: _last_as_tuple(self, 2),
    pickle.TUPLE3: lambda self: _last_as_tuple(self, 3),
    pickle.FROZENSET: _frozen,
    pickle.EMPTY_TUPLE: _push(lambda self: ()),
    pickle.EMPTY_LIST: _push(lambda self: []),
    pickle.EMPTY_DICT: _push(lambda self: {}),
    pickle.EMPTY_SET: _push(lambda self: set()),
    pickle.NONE: _push(lambda self: None),
    pickle.NEWTRUE: _push(lambda self: True),
    pickle.NEWFALSE: _push(lambda self: False),
    pickle.BININT: _push(lambda self: int.from_bytes(self.read(4), "little", signed=True)),
    pickle.BININT1: _push(lambda self: self.natural(1)),
    pickle.BININT2: _push(lambda self: self.natural(2)),
    pickle.LONG1: lambda self: _number(self, 1),
    pickle.LONG4: lambda self: _number(self, 4),
    pickle.BINFLOAT: _push(lambda self: struct.unpack(">d", self.read(8))[0]),
    pickle.SHORT_BINUNICODE: lambda self: _text(self, 1),
    pickle.BINUNICODE: lambda self: _text(self, 4),
    pickle.BINUNICODE8: lambda self: _text(self, 8),
    pickle.SHORT_BINBYTES: lambda self: _bytes(self, 1),
    pickle.BINBYTES: lambda self: _bytes(self, 4),
    pickle.BINBYTES8: lambda self: _bytes(self, 8),
    pickle.BYTEARRAY8: _push(lambda self: bytearray(self.read(self.natural(8)))),
    pickle.SHORT_BINSTRING: lambda self: _old_text(self, 1),
    pickle.BINSTRING: lambda self: _old_text(self, 4),
    pickle.BINPERSID: _persistent,
    pickle.BINGET: _push(lambda self: self.memo[self.natural(1)]),
    pickle.LONG_BINGET: _push(lambda self: self.memo[self.natural(4)]),
    pickle.BINPUT: lambda self: _memoize(self, 1),
    pickle.LONG_BINPUT: lambda self: _memoize(self, 4),
    pickle.MEMOIZE: lambda self: _memoize(self, None),
}
