"""Counts in words."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Such as `1 head` or `12 heads`."""
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"
