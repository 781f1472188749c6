"""Which of two relatives was first: a guess from the weights alone, never more.

While a network is trained on, its weights grow, and the tails of their distribution become heavier. Horwitz et al.,
*Unsupervised Model Tree Heritage Recovery* (arXiv 2405.18432), use the tails (as kurtosis); they find that fine-tuning
of large pretrained networks makes them lighter again, so that one has to know which kind of training it was. Here both
size and tails have to agree; else there is no guess. Both are read off the signature, so that no disguise changes them.
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
    size, tails = _sign(other.size - one.size), _sign(other.tails - one.tails)
    return size if size == tails else 0


def _sign(difference: float) -> int:
    return 0 if abs(difference) <= _NOTHING else (1 if difference > 0 else -1)
