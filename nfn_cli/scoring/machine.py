"""What this machine has, or what a container leaves of it."""

from __future__ import annotations

import os
from pathlib import Path

from nfn_cli.processors import processors as processors

MORE_MEMORY = "score it alone, on a machine with more memory"
_UNKNOWN = 1 << 34
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was too little memory; PyTorch says so in its own words."""
    phrases = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or any(words in str(error) for words in phrases)


def memory() -> int:
    """Bytes of memory; 16 GiB where the system does not say."""
    try:
        most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        most = _UNKNOWN
    for file in _LIMITS:
        try:
            most = min(most, int(Path(file).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return most
