"""What to say of a NumPy file that cannot be read.

>>> why_unreadable(ValueError("Object arrays cannot be loaded when allow_pickle=False"), "archive")
'not a NumPy archive, or one of Python objects, which could run code and are never loaded'
>>> why_unreadable(EOFError("No data left in file"), "array")
'not a readable NumPy array (No data left in file)'
"""

from __future__ import annotations

from nfn_cli.checkpoints.printable import printable


def why_unreadable(error: Exception, kind: str) -> str:
    """The cause, after an exception of `numpy.load(..., allow_pickle=False)`.

    Args:
        kind: of the file, such as `archive`.
    """
    # Whatever is no array NumPy takes for a pickle, and advises to load it, which would run what is in it.
    if isinstance(error, ValueError) and "allow_pickle" in str(error):
        return f"not a NumPy {kind}, or one of Python objects, which could run code and are never loaded"
    return f"not a readable NumPy {kind} ({printable(error)})"
