"""Which of two relatives was first: a guess from the weights alone, never more.

While a network is trained on, its weights mostly grow: what has the larger norm is taken for the child. The norm is that
of the signature, so that no disguise changes it. docs/families.md says how often the guess is right. Horwitz et al.,
*Unsupervised Model Tree Heritage Recovery* (arXiv 2405.18432), use how heavy the tails of the weights are, which grow or
shrink with the kind of training; measured here they tell little.
"""

from __future__ import annotations

from nfn_cli.symmetry.kinship.signature import Signature

_NOTHING = 1e-6  # differences that rounding explains


def earlier(one: Signature, other: Signature) -> int:
    """1 if the first network looks like the parent of the second, −1 for the reverse, 0 for no guess.

    >>> base, tuned = Signature("a", (), size=1.0, tails=0.60), Signature("a", (), size=1.2, tails=0.63)
    >>> earlier(base, tuned), earlier(tuned, base), earlier(base, base)
    (1, -1, 0)
    """
    growth = other.size - one.size
    return 0 if abs(growth) <= _NOTHING else 1 if growth > 0 else -1
