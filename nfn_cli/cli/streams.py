"""The standard streams, whatever they are: closed, full, or a pipe whose reader has gone."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_LOST = 3  # exit code: nothing could be done


class LostStdout(SystemExit):
    """Stdout cannot be written; caught at the end of the program alone.

    Attributes:
        message: the line for stderr; None where the reader has closed the pipe, as `head` does.
    """

    def __init__(self, error: OSError) -> None:
        gone = error.errno == errno.EPIPE
        closed = error.errno == errno.EBADF
        super().__init__(0 if gone else _LOST)
        cause, remedy = ("it is closed", "lead it to a file or a pipe") if closed else (error.strerror, "make room")
        self.message = None if gone else f"stdout: cannot be written ({cause}); {remedy}"


class _Guarded(io.RawIOBase):
    """A stream's bytes; once they cannot be written, the rest is dropped.

    Args:
        raw: what they go to.
        raises: whether the first failure raises `LostStdout`.
    """

    def __init__(self, raw: Any, *, raises: bool) -> None:
        self._raw, self._raises, self._lost = raw, raises, False

    def write(self, data: Any) -> int:
        """Write all of it; see `io.RawIOBase`."""
        rest = memoryview(data).cast("B")
        while rest and not self._lost:
            try:
                written = self._raw.write(rest)
                if written is None:  # it does not wait for its reader: wait here
                    select.select([], [self._raw], [])
            except OSError as error:
                self._lost = True
                if self._raises:
                    raise LostStdout(error) from None
                break
            rest = rest[written or 0 :]
        return len(data)

    def writable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def fileno(self) -> int:
        """See `io.RawIOBase`."""
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        """See `io.RawIOBase`."""
        return bool(self._raw.isatty())


@contextmanager
def guarded() -> Iterator[None]:
    """Within the block, no stream ends the program in a trace.

    If stdout cannot be written, the program ends in one line on stderr and with exit code 3, or, where its reader has
    gone, in silence and with 0. What stderr cannot take is lost. A stream that the caller has closed is there all the
    same, so that no file is opened in its place. Names that are not text, and characters that a terminal cannot show,
    are written as escapes.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    try:
        if sys.stdin is None:
            sys.stdin = open(_occupied(0), closefd=False)  # noqa: SIM115
        sys.stdout = _guard(sys.stdout, 1, raises=True)
        sys.stderr = _guard(sys.stderr, 2, raises=False)
        try:
            yield
        finally:
            sys.stdout.flush()
    except LostStdout as lost:
        if lost.message is not None:
            print(f"nfn: {lost.message}", file=sys.stderr)
        raise SystemExit(lost.code) from None
    finally:
        sys.stderr.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _guard(stream: TextIO | None, descriptor: int, *, raises: bool) -> TextIO:
    """A stream's guarded form; one that is no file, as a test's, stays what it is."""
    raw: Any
    if stream is None:
        raw = io.FileIO(_occupied(descriptor), "w", closefd=False)
        return _text(io.BufferedWriter(_Guarded(raw, raises=raises)), "utf-8")
    if type(stream) is not io.TextIOWrapper:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        return stream
    raw = getattr(stream.buffer, "raw", None)
    if raw is None:  # unbuffered, it is the raw one itself
        return _text(_Guarded(stream.buffer, raises=raises), stream.encoding, at_once=True)
    return _text(io.BufferedWriter(_Guarded(raw, raises=raises)), stream.encoding, lines=stream.line_buffering)


def _text(buffer: Any, encoding: str, *, lines: bool = False, at_once: bool = False) -> TextIO:
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", line_buffering=lines, write_through=at_once)


def _occupied(descriptor: int) -> int:
    """The number of a stream that is closed, opened on the null device."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)
    return descriptor
