"""Checkpoints in object stores, by addresses such as `s3://bucket/zoo/net.safetensors`, through fsspec.

A file is fetched whole into a temporary folder, read from there as any other, and removed again.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar

from nfn_cli.checkpoints.companions import is_companion
from nfn_cli.checkpoints.formats.registry import SUFFIXES
from nfn_cli.errors import CheckpointError, NfnError

Found = TypeVar("Found")

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]+)://")
# What to install for the commonest schemes; fsspec names the package of the others itself.
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "az": "adlfs", "abfs": "adlfs"}
# What stores call a text that changes with a file, the best first.
_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")
_TRIES = 4
_FIRST_WAIT = 0.25  # seconds; each wait is twice the one before


class StoreError(CheckpointError):
    """A store did not give a file, which it may another time."""


@dataclass(frozen=True)
class RemoteFacts:
    """What a store states about a file: its size in bytes, and a text that changes with its contents."""

    bytes: int
    version: str


def is_address(path: str) -> bool:
    """Whether it names a file or folder of a store, rather than of this machine.

    >>> is_address("s3://bucket/zoo"), is_address("zoo/net.pt"), is_address("C:/zoo")
    (True, False, False)
    """
    return bool(_SCHEME.match(path))


def list_address(address: str) -> Iterator[str]:
    """The checkpoints at an address: itself, if it is a file, else those below it in the order of their names, without
    their companions.

    Raises:
        CheckpointError: the store cannot be reached, or has nothing there.
    """
    system, path = _system(address)
    scheme = address.partition("://")[0]
    if _tried(address, lambda: system.isfile(path)):
        yield address
        return
    names = _tried(address, lambda: sorted(system.find(path)))
    if not names:
        raise CheckpointError(address, "nothing is there", "check the address and your rights to it")
    for name in names:
        below = PurePosixPath(name[name.find(path.strip("/")) + len(path.strip("/")) :].strip("/"))
        hidden = any(part.startswith(".") for part in below.parts)
        if below.suffix.lower() in SUFFIXES and not hidden and not is_companion(below.name):
            yield f"{scheme}://{name}"


def remote_facts(address: str) -> RemoteFacts:
    """What the store states about a file.

    Raises:
        CheckpointError: it cannot be reached, or there is none.
    """
    system, path = _system(address)
    facts = _tried(address, lambda: system.info(path))
    version = next((str(facts[key]) for key in _VERSIONS if facts.get(key)), "")
    return RemoteFacts(int(facts.get("size") or 0), version)


@contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A copy of a file on this machine, for as long as the context lasts.

    Raises:
        CheckpointError: the file cannot be fetched.
    """
    system, path = _system(address)
    with tempfile.TemporaryDirectory(prefix="nfn-") as folder:
        copy = Path(folder) / (PurePosixPath(path).name or "checkpoint")

        def fetch() -> None:
            system.get_file(path, str(copy))

        _tried(address, fetch)
        yield copy


def read_remote(address: str, work: Callable[[BinaryIO], Found]) -> Found:
    """Have parts of a file read, without fetching the rest.

    Args:
        work: reads from the open file; it may be called several times.

    Raises:
        CheckpointError: the file cannot be read.
    """
    system, path = _system(address)

    def read() -> Found:
        with system.open(path, "rb", cache_type="none") as file:
            return work(file)

    return _tried(address, read)


def _system(address: str) -> tuple[Any, str]:
    scheme = address.partition("://")[0]
    try:
        import fsspec
    except ImportError as error:
        raise CheckpointError(address, "fsspec is not installed", "pip install 'nfn-cli[remote]'") from error
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        package = _PACKAGES.get(scheme)
        remedy = f"pip install {package}" if package else str(error)
        raise CheckpointError(address, f"{scheme}:// needs a package that is not installed", remedy) from error
    except ValueError as error:
        raise CheckpointError(address, f"no store that fsspec knows ({error})", "see fsspec's known schemes") from error
    return system, path


def _tried(address: str, work: Callable[[], Found]) -> Found:
    """Try a few times: stores and connections fail for moments."""
    for attempt in range(_TRIES):
        try:
            return work()
        except NfnError:
            raise
        except FileNotFoundError as error:
            raise CheckpointError(address, "no such file", "check the address") from error
        except PermissionError as error:
            raise StoreError(address, "the store refuses it", "check your rights to it") from error
        except Exception as error:
            # Each store fails in its own ways (botocore, aiohttp, requests ...).
            if attempt + 1 == _TRIES:
                cause = f"cannot be fetched after {_TRIES} tries ({type(error).__name__}: {error})"
                raise StoreError(address, cause, "try again later") from error
            time.sleep(_FIRST_WAIT * 2**attempt)
    raise AssertionError
