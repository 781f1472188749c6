"""Fuzz every reader of files: `python tests/fuzz [--reader NAME] [--inputs 100000] [--seed 0]`.

Each input is a sound file with a few bytes replaced, removed, repeated or put in, or words of its format put in.
Reading it must give a result or an NfnError of one printable line: no other exception, no payload that runs, no process
or connection, no file opened outside the input's folder, and no more than 1 GiB of memory. The first input that breaks
a rule is kept, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import sysconfig
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(__file__))

from readers import Reader, readers

from nfn_cli.errors import NfnError

GIBIBYTE = 1 << 30
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
)
# Modules may be imported late; the loader of shared memory looks at /proc, and so does torch.
HARMLESS = tuple(
    {*sysconfig.get_paths().values(), "/proc", "/sys", "/dev", str(Path(__file__).parents[2]), sys.base_prefix}
)

watched: list[str] = []
allowed: list[str] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: what a reader does besides reading."""
    if not allowed:
        return
    if event in FORBIDDEN:
        watched.append(f"{event} {arguments!r}")
    elif event == "open" and isinstance(arguments[0], str | bytes):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith((*allowed, *HARMLESS)):
            watched.append(f"open {path}")


def mutated(reader: Reader, draw: random.Random) -> bytes:
    """An input."""
    data = bytearray(draw.choice(reader.seeds))
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        place = draw.randrange(len(data) + 1)
        kind = draw.randrange(7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            data[place : place + draw.randrange(9)] = draw.randbytes(draw.randrange(9))
        elif kind == 2:
            del data[place : place + draw.choice((1, 2, 4, 8, 64, 1024))]
        elif kind == 3:
            source = draw.randrange(len(data) + 1)
            data[place:place] = data[source : source + draw.choice((1, 8, 64))]
        elif kind in (4, 5):
            word = draw.choice(reader.words)
            data[place : place + (len(word) if kind == 5 else 0)] = word
        else:
            del data[place:]
    return bytes(data)


def broken_rule(reader: Reader, folder: Path, data: bytes) -> str | None:
    """What went wrong with an input; None if nothing did."""
    path = folder / reader.file
    path.write_bytes(data)
    watched.clear()
    allowed[:] = [os.path.realpath(folder)]
    try:
        reader.read(path)
    except NfnError as error:
        if not str(error).isprintable():
            return f"an error that is no printable line: {error!r}"
    except BaseException:
        return traceback.format_exc()
    finally:
        allowed.clear()
    if watched:
        return f"it did {watched[0]}"
    if (folder / "payload-ran").exists() or os.path.exists("payload-ran"):
        return "a payload ran"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > most_memory:
        return "more than 1 GiB of memory"
    return None


most_memory = 0


def fuzz(name: str, reader: Reader, inputs: int, seed: int) -> bool:
    """Fuzz one reader; whether it passed."""
    global most_memory
    draw = random.Random(f"{name} {seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for file, content in reader.beside:
            (folder / file).write_bytes(content)
        for sound in reader.seeds:  # imports what is imported late
            broken_rule(reader, folder, sound)
        most_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + GIBIBYTE
        for number in range(inputs):
            data = mutated(reader, draw)
            reason = broken_rule(reader, folder, data)
            if reason:
                kept = Path(f"fuzz-{name}-{number}.bin")
                kept.write_bytes(data)
                print(f"{name}: input {number} ({kept}): {reason}")
                return False
    print(f"{name}: {inputs:,} inputs, none broke a rule, {time.monotonic() - started:.0f} s", flush=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = readers()
    parser.add_argument("--reader", choices=known, action="append")
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.addaudithook(watch)
    passed = [fuzz(name, known[name], options.inputs, options.seed) for name in options.reader or known]
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
