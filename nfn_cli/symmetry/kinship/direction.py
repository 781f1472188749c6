"""Which of two relatives was first: a guess from the weights alone, never more.

While a network is trained on, its weights mostly grow: the one with the larger norm is taken for the child. How sure
that is depends on whether its tails are heavier as well, by which Horwitz et al. go, *Unsupervised Model Tree Heritage
Recovery* (arXiv 2405.18432). Both are read off the signature, so that no disguise changes them. The odds are those of
the parents and children in docs/families.md.
"""

from __future__ import annotations

import math

from nfn_cli.symmetry.kinship.signature import Signature

_AGREEING = math.log(98 / 15)  # right and wrong where the larger one has the heavier tails
_ALONE = math.log(47 / 26)  # where it has the lighter ones
_NOTHING = 1e-6  # differences that rounding explains


def earlier(one: Signature, other: Signature) -> float:
    """The logarithm of the odds that the first network is the parent and the second the child.

    >>> base, tuned = Signature("a", (), size=1.0, tails=0.60), Signature("a", (), size=1.2, tails=0.63)
    >>> round(earlier(base, tuned), 2), round(earlier(tuned, base), 2), earlier(base, base)
    (1.88, -1.88, 0.0)
    """
    growth, heavier = other.size - one.size, other.tails - one.tails
    if abs(growth) <= _NOTHING:
        return 0.0
    return math.copysign(_AGREEING if growth * heavier > 0 else _ALONE, growth)
