"""Where the records of a PyTorch zip file are, so that they can be read and replaced in place."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

_LOCAL, _CENTRAL, _DESCRIPTOR = b"PK\3\4", b"PK\1\2", b"PK\7\x08"
_HEADER = struct.Struct("<4s5H3L2H")
_CHUNK = 1 << 20  # bytes


class DamagedZipError(Exception):
    """The archive is not one that PyTorch has written."""


@dataclass(frozen=True)
class Record:
    """An entry of the archive, stored as it is.

    Attributes:
        header: where its header is in the file, in bytes.
        limit: where what follows begins, in bytes.
        size: of its contents, in bytes.
        crc: checksum of its contents, as the archive has it; PyTorch may have written another number.
    """

    header: int
    limit: int
    size: int
    crc: int


def find_records(file: BinaryIO) -> dict[str, Record]:
    """The records by name, without the archive's own folder.

    Raises:
        DamagedZipError: two have one name or overlap, or one is compressed.
        Exception: what zipfile raises for damage.
    """
    with zipfile.ZipFile(file) as archive:
        entries, end = archive.infolist(), archive.start_dir
    # PyTorch and Python would each take another one of two records of one name.
    if len({entry.filename for entry in entries}) != len(entries):
        raise DamagedZipError("records of one name")
    folder = entries[0].filename.split("/")[0] + "/"
    records: dict[str, Record] = {}
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise DamagedZipError("a record that is not stored as it is")
        if entry.header_offset + _HEADER.size + entry.file_size > end:
            raise DamagedZipError("records that overlap")
        if entry.filename.startswith(folder):
            name = entry.filename.removeprefix(folder)
            records[name] = Record(entry.header_offset, end, entry.file_size, entry.CRC)
        end = entry.header_offset
    return records


def contents_of(file: BinaryIO, record: Record) -> int:
    """Where a record's contents begin in the file, in bytes; all of them are there, and nothing else is.

    Raises:
        DamagedZipError: no record is there.
    """
    file.seek(record.header)
    try:
        signature, *_, name, extra = _HEADER.unpack(file.read(_HEADER.size))
    except struct.error as error:
        raise DamagedZipError("a record beyond the file") from error
    start = record.header + _HEADER.size + name + extra
    if signature != _LOCAL:
        raise DamagedZipError("no record where the archive has one")
    if start + record.size > record.limit:
        raise DamagedZipError("a record that reaches into another")
    return start


def renew_checksums(file: BinaryIO, changed: Iterable[Record]) -> None:
    """Put right the checksums of records whose contents have been replaced.

    Args:
        file: open for reading and writing.
        changed: as `find_records` found them.

    Raises:
        DamagedZipError: the archive's directory is not where it should be.
    """
    checksums: dict[int, bytes] = {}
    for record in changed:
        start = contents_of(file, record)
        end = start + record.size
        old = struct.pack("<L", record.crc)
        new = checksums[record.header] = struct.pack("<L", _checksum(file, start, record.size))
        # In the header before the contents, or (or also) in a descriptor behind them, which may begin with a mark.
        file.seek(record.header + 6)
        described = file.read(1)[0] & 8
        file.seek(end)
        marked = file.read(4) == _DESCRIPTOR
        for place in (record.header + 14, end + 4 * marked)[: 2 if described else 1]:
            file.seek(place)
            if file.read(4) == old and place + 4 <= record.limit:
                file.seek(place)
                file.write(new)
    with zipfile.ZipFile(file) as archive:
        place, entries = archive.start_dir, archive.infolist()
    for entry in entries:
        file.seek(place)
        head = file.read(46)
        if head[:4] != _CENTRAL:
            raise DamagedZipError("no directory where the archive has one")
        if entry.header_offset in checksums:
            file.seek(place + 16)
            file.write(checksums[entry.header_offset])
        place += 46 + sum(struct.unpack("<3H", head[28:34]))


def _checksum(file: BinaryIO, start: int, size: int) -> int:
    file.seek(start)
    crc = 0
    while size > 0 and (data := file.read(min(size, _CHUNK))):
        crc = zlib.crc32(data, crc)
        size -= len(data)
    return crc
