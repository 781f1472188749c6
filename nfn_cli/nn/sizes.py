"""Check sizes that come from a configuration, perhaps a stranger's."""

from __future__ import annotations

from typing import Any

from nfn_cli.errors import shown


def require_sizes(sizes: Any, **largest: int) -> None:
    """Check that the named attributes are whole numbers from 1 to the largest allowed, and `dropout` a share.

    Raises:
        ValueError: naming the attribute.
    """
    for name, most in largest.items():
        size = getattr(sizes, name)
        if type(size) is not int or not 1 <= size <= most:
            raise ValueError(f"{name} is {shown(size)}, not a whole number from 1 to {most}")
    if not 0 <= sizes.dropout < 1:
        raise ValueError(f"dropout is {shown(sizes.dropout)}, not a share below 1")
