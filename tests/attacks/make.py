"""Make the files of this folder: `python tests/attacks/make.py`. Nothing but the standard library, so that no reader
or writer of tensors is needed to know what is in them."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
RUN = "touch ran"  # what the payloads would do, in the folder where they run
LINUX = "import os; os.system('touch ran')"
WEIGHTS = struct.pack("<6f", *range(6))


def text(value: str) -> bytes:
    return pickle.BINUNICODE + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return pickle.BININT + struct.pack("<i", value)


def data(value: bytes) -> bytes:
    """Bytes, as protocol 2 has them."""
    return named("_codecs", "encode") + two(text(value.decode("latin-1")), text("latin1")) + pickle.REDUCE


def named(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def many(*items: bytes) -> bytes:
    return pickle.MARK + b"".join(items) + pickle.TUPLE


def two(one: bytes, other: bytes) -> bytes:
    return one + other + pickle.TUPLE2


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + many(*arguments) + pickle.REDUCE


def storage(count: int = 6, key: str = "0") -> bytes:
    return (
        many(text("storage"), named("torch", "FloatStorage"), text(key), text("cpu"), number(count)) + pickle.BINPERSID
    )


def tensor(of: bytes | None = None, hooks: bytes = pickle.EMPTY_DICT, rows: int = 3) -> bytes:
    size, stride = two(number(rows), number(2)), two(number(2), number(1))
    arguments = (storage() if of is None else of, number(0), size, stride, pickle.NEWFALSE, hooks)
    return call(named("torch._utils", "_rebuild_tensor_v2"), *arguments)


def dictionary(entries: dict[str, bytes]) -> bytes:
    items = b"".join(text(name) + value for name, value in entries.items())
    return pickle.EMPTY_DICT + pickle.MARK + items + pickle.SETITEMS


def beside(extra: bytes, *, protocol: int = 2) -> bytes:
    """The pickle of a state dict with something beside it."""
    whole = dictionary({"state_dict": dictionary({"fc.weight": tensor()}), "extra": extra})
    return pickle.PROTO + bytes([protocol]) + whole + pickle.STOP


def state(weight: bytes) -> bytes:
    return pickle.PROTO + b"\2" + dictionary({"fc.weight": weight}) + pickle.STOP


def archive(content: bytes, *more: tuple[str, bytes]) -> bytes:
    """A PyTorch zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, value in (("data.pkl", content), ("byteorder", b"little"), ("data/0", WEIGHTS), *more):
            target.writestr(zipfile.ZipInfo(f"archive/{name}"), value)
        target.writestr(zipfile.ZipInfo("archive/version"), b"3\n")
    return file.getvalue()


def overlapping() -> bytes:
    """Two records of the same bytes."""
    whole = archive(beside(pickle.NONE), ("data/1", WEIGHTS))
    file = io.BytesIO(whole)
    with zipfile.ZipFile(file) as source:
        offsets = {entry.filename: entry.header_offset for entry in source.infolist()}
    old = struct.pack("<L", offsets["archive/data/1"]) + b"archive/data/1"
    assert whole.count(old) == 1
    return whole.replace(old, struct.pack("<L", offsets["archive/data/0"]) + b"archive/data/1")


def reaching() -> bytes:
    """A record whose header is said to be longer than it is, so that its contents reach into the next record."""
    whole = archive(beside(pickle.NONE))
    place = whole.index(b"archive/data/0") - 2
    return whole[:place] + struct.pack("<H", 40) + whole[place + 2 :]


def legacy() -> bytes:
    """A legacy file whose weights are in no list of storages, and so never read from it."""
    of = many(text("storage"), named("torch", "FloatStorage"), text("0"), text("cpu"), number(6), pickle.NONE)
    start = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    content = state(tensor(of + pickle.BINPERSID))
    return b"".join(pickle.dumps(part, 2) for part in start) + content + pickle.dumps([], 2)


SYSTEM = named("posix", "system")
DTYPE = call(named("numpy", "dtype"), text("V8"), pickle.NEWFALSE, pickle.NEWTRUE)
FLOAT = call(named("numpy", "dtype"), text("f8"), pickle.NEWFALSE, pickle.NEWTRUE)
SCALAR = named("numpy.core.multiarray", "scalar")
MINUS = number(-1)


def dtype_state(names: bytes, fields: bytes, size: int, flags: int) -> bytes:
    return many(number(3), text("|"), pickle.NONE, names, fields, number(size), number(1), number(flags)) + pickle.BUILD


FIELDS = dictionary({"x": two(named("numpy", "dtype"), number(1 << 30))})
OBJECT = call(named("numpy", "dtype"), text("O8"), pickle.NEWFALSE, pickle.NEWTRUE)
TUPLES = pickle.EMPTY_TUPLE + (pickle.BINPUT + b"\1" + pickle.BINGET + b"\1" + pickle.TUPLE2) * 60
ODD = named("evil", "Odd") + pickle.EMPTY_TUPLE + pickle.NEWOBJ

FILES: dict[str, bytes] = {
    # Calls of what runs code
    "system": archive(beside(call(SYSTEM, text(RUN)))),
    "system-protocol-4": archive(
        beside(
            text("posix") + text("system") + pickle.STACK_GLOBAL + text(RUN) + pickle.TUPLE1 + pickle.REDUCE, protocol=4
        )
    ),
    "system-newobj": archive(beside(SYSTEM + text(RUN) + pickle.TUPLE1 + pickle.NEWOBJ)),
    "eval": archive(beside(call(named("__builtin__", "eval"), text(f"__import__('os').system({RUN!r})")))),
    "getattr": archive(
        beside(call(call(named("__builtin__", "getattr"), named("evil", "os"), text("__globals__")), text(RUN)))
    ),
    "instance": archive(beside(pickle.MARK + text(RUN) + pickle.INST + b"posix\nsystem\n")),
    "object": archive(beside(pickle.MARK + named("evil", "run") + text(RUN) + pickle.OBJ)),
    "extension": archive(beside(pickle.EXT1 + b"\1")),
    "pickle-in-a-pickle": archive(
        beside(call(named("torch.storage", "_load_from_bytes"), data(pickle.dumps("hello", 2))))
    ),
    "default-factory": archive(
        beside(
            call(named("collections", "defaultdict"), SYSTEM) + pickle.MARK + text("a") + text("b") + pickle.SETITEMS
        )
    ),
    "nested-state": archive(beside(ODD + dictionary({"inner": call(SYSTEM, text(RUN))}) + pickle.BUILD)),
    # Calls of what nobody knows
    "unknown-function": archive(beside(call(named("evil", "run"), text(RUN)))),
    "unknown-factory": archive(
        beside(
            call(named("collections", "defaultdict"), named("evil", "run"))
            + pickle.MARK
            + text("a")
            + text("b")
            + pickle.SETITEMS
        )
    ),
    "odd-husks": archive(
        beside(
            pickle.EMPTY_DICT
            + pickle.MARK
            + (ODD + pickle.EMPTY_DICT + pickle.BUILD + text("key"))
            + (text("list") + ODD + pickle.MARK + text("a") + pickle.APPENDS + text("b") + pickle.APPEND)
            + (text("called") + ODD + pickle.EMPTY_TUPLE + pickle.REDUCE)
            + (text("names") + named("evil", "Odd") + pickle.EMPTY_TUPLE + pickle.EMPTY_DICT + pickle.NEWOBJ_EX)
            + (text("set") + ODD + pickle.MARK + text("a") + pickle.ADDITEMS)
            + pickle.SETITEMS,
            protocol=4,
        )
    ),
    "module-with-source": archive(
        beside(many(text("module"), named("evil", "Odd"), text("evil.py"), text("source")) + pickle.BINPERSID)
    ),
    # What NumPy's own constructors cannot bear
    "void-dtype": archive(
        beside(call(SCALAR, DTYPE + dtype_state(two(text("x"), text("y")), FIELDS, 1 << 30, 63), data(b"x" * 8)))
    ),
    "dtype-flags": archive(beside(call(SCALAR, FLOAT + dtype_state(pickle.NONE, pickle.NONE, 1 << 20, 1), data(b"")))),
    "dtype-class": archive(
        beside(call(named("numpy.dtypes", "VoidDType"), number(-8)) + pickle.EMPTY_TUPLE + pickle.BUILD)
    ),
    "object-scalar": archive(
        beside(call(SCALAR, OBJECT + dtype_state(pickle.NONE, pickle.NONE, 8, 63), data(b"A" * 8)))
    ),
    "array-state": archive(
        beside(
            call(
                named("numpy.core.multiarray", "_reconstruct"),
                named("numpy", "ndarray"),
                number(0) + pickle.TUPLE1,
                data(b"b"),
            )
            + many(number(1), number(1 << 30) + pickle.TUPLE1, OBJECT, pickle.NEWFALSE, data(b"A" * 64))
            + pickle.BUILD
        )
    ),
    # Tensors that are none
    "husk-as-storage": archive(state(tensor(ODD))),
    "husk-as-hooks": archive(state(tensor(hooks=ODD))),
    "husk-as-storage-id": archive(state(tensor(many(ODD, text("0")) + pickle.BINPERSID))),
    "husk-as-class": archive(
        state(
            call(
                named("torch._tensor", "_rebuild_from_type_v2"), ODD, named("torch", "Tensor"), pickle.EMPTY_TUPLE, ODD
            )
        )
    ),
    "beyond-its-storage": archive(state(tensor(rows=1 << 20))),
    "beyond-its-record": archive(state(tensor(storage(1 << 20), rows=1 << 19))),
    "of-no-data": legacy(),
    "state-of-a-function": archive(
        state(
            named("torch._utils", "_rebuild_tensor_v2")
            + two(pickle.NONE, dictionary({"__defaults__": pickle.EMPTY_TUPLE}))
            + pickle.BUILD
        )
    ),
    # Bombs
    "memo": archive(beside(pickle.NONE + pickle.LONG_BINPUT + b"\xff\xff\xff\xff")),
    "long-text": archive(beside(pickle.BINUNICODE8 + struct.pack("<Q", 1 << 60), protocol=4)),
    "long-bytearray": archive(beside(call(named("__builtin__", "bytearray"), number((1 << 31) - 1)))),
    "long-number": archive(beside(pickle.LONG4 + struct.pack("<i", 5000) + b"\x7f" * 5000)),
    "key-of-tuples": archive(beside(pickle.EMPTY_DICT + TUPLES + pickle.NONE + pickle.SETITEM)),
    # Archives with two meanings
    "two-pickles": archive(beside(pickle.NONE), ("data.pkl", beside(call(SYSTEM, text(RUN))))),
    "overlapping-records": overlapping(),
    "reaching-record": reaching(),
}


def aliases(first: str, every: str, levels: int, *, times: int, use: str) -> str:
    """A record whose last name stands for `times` of the one before it, and so on."""
    lines = [f"a0: &a0 {first}"]
    for level in range(1, levels):
        inner = ",".join([f"*a{level - 1}"] * times)
        lines.append(f"a{level}: &a{level} {every % inner}")
    return "\n".join([*lines, use % f"*a{levels - 1}"]) + "\n"


# A head's record and a sidecar in one; the value stands where each quotes it.
LAYERS = "[{kind: linear, kernel: [], spatial: 1, inputs: 2, outputs: 1}]"
USE = (
    "task: edit-inr\nkind: function-editor\nactivation: sin\nedit: erode\npicture: [8, 8]\nfitted: {}\n"
    f"accepts: {{activation: sin, layers: {LAYERS}}}\nsizes: {{channels: %s}}\n"
)
SAID = USE % "1"

RECORDS = {
    "aliases": aliases("[x,x,x,x,x,x,x,x,x]", "[%s]", 7, times=9, use=USE),
    "aliases-in-depth": aliases("[x]", "[%s]", 80, times=1, use=USE),
    "alias-of-itself": USE % "&a [*a]",
    "merges": aliases("{x: [1,2,3,4,5,6,7,8,9]}", "{<<: [%s]}", 7, times=9, use=USE),
    "brackets": "[" * 5000 + "\n",
    "base-60": USE % ("1" + ":1" * 2500),
    "digits": USE % ("9" * 5000),
    "names-of-one-remainder": USE % ("{" + ",".join(f"{k * ((1 << 61) - 1)}: 1" for k in range(1, 100)) + "}"),
    "name-twice": SAID + "activation: relu\nkind: monomial-editor\n",
    "directives": "".join(f"%TAG !{i}! tag:x,1:\n" for i in range(200)) + "---\n" + SAID,
    "calls": USE % "!!python/object/apply:os.system ['touch ran']",
    "two-records": SAID + "---\n" + SAID,
}


def packed(count: str) -> bytes:
    """A safetensors file of networks in rows; how many is told by JSON."""
    told = '{"__metadata__":{"nfn.population":%s},"0.weight":{"dtype":"F32","shape":[1,1,1],"data_offsets":[0,4]}}'
    return struct.pack("<Q", len(told % count)) + (told % count).encode() + bytes(4)


PACKED = {"endless-count": packed("1e999")}


if __name__ == "__main__":
    for name, content in FILES.items():
        (HERE / f"{name}.pt").write_bytes(content)
    for name, text_of_it in RECORDS.items():
        (HERE / f"{name}.yaml").write_text(text_of_it, encoding="utf-8")
    for name, content in PACKED.items():
        (HERE / f"{name}.safetensors").write_bytes(content)
