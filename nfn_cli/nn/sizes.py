"""Check sizes that come from a configuration, perhaps a stranger's."""

from __future__ import annotations

from typing import Any

from nfn_cli.errors import shown


def require_sizes(sizes: Any, least: int = 1, **largest: int) -> None:
    """Check that the named attributes are whole numbers from `least` to the largest allowed, and any `dropout` a share.

    Raises:
        ValueError: naming the attribute.
    """
    for name, most in largest.items():
        size = getattr(sizes, name)
        if type(size) is not int or not least <= size <= most:
            raise ValueError(f"{name} is {shown(size)}, not a whole number from {least} to {most}")
    dropout = getattr(sizes, "dropout", 0.0)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {shown(dropout)}, not a share below 1")


def require_flag(sizes: Any, name: str) -> None:
    """Check that the named attribute is true or false.

    Raises:
        ValueError: naming it.
    """
    if type(getattr(sizes, name)) is not bool:
        raise ValueError(f"{name} is {shown(getattr(sizes, name))}, not true or false")
