"""Which of two relatives was first: a guess from the weights alone, never more.

Horwitz et al., *Unsupervised Model Tree Heritage Recovery* (arXiv 2405.18432), find that fine-tuning makes the tails of
the weights lighter, and training from scratch makes them heavier. Training that goes on also makes weights larger. Both
are read off the signature, so that no disguise changes them. Where they contradict each other, there is no guess.
"""

from __future__ import annotations

from nfn_cli.symmetry.kinship.signature import Signature

_NOTHING = 1e-6  # differences that rounding explains


def earlier(one: Signature, other: Signature) -> int:
    """1 if the first network looks like the parent of the second, −1 for the reverse, 0 for no guess.

    >>> base, tuned = Signature("a", (), size=1.0, tails=0.60), Signature("a", (), size=1.2, tails=0.58)
    >>> earlier(base, tuned), earlier(tuned, base), earlier(base, base)
    (1, -1, 0)
    """
    votes = _sign(one.tails - other.tails) + _sign(other.size - one.size)
    return (votes > 0) - (votes < 0)


def _sign(difference: float) -> int:
    return 0 if abs(difference) <= _NOTHING else (1 if difference > 0 else -1)
