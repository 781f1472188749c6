"""A tensor that was made of others, kept as long as nobody writes to them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor


class KeptTensor:
    """Keeps the last one. Only without gradients, which would have to pass through what it was made of.

    Writes are seen that torch counts: not those through `.data`, or through an array of numpy on the same memory. Where
    these may happen, the numbers belong in the key.
    """

    def __init__(self) -> None:
        self._last: tuple[Hashable, list[tuple[weakref.ref[Tensor], int, int]], Tensor] | None = None

    def of(self, sources: Sequence[Tensor], make: Callable[[], Tensor], key: Hashable = None) -> Tensor:
        """What `make` gives for these sources, which is the same tensor as before if they and the key are.

        >>> kept, source = KeptTensor(), torch.ones(2)
        >>> with torch.no_grad():
        ...     first = kept.of([source], lambda: source + 1)
        ...     print(kept.of([source], lambda: source + 1) is first)
        ...     source += 1
        ...     print(kept.of([source], lambda: source + 1))
        True
        tensor([3., 3.])
        """
        # Tensors of inference mode do not say whether they were written to.
        if torch.is_grad_enabled() or any(source.is_inference() for source in sources):
            return make()
        last = self._last
        if last is not None and last[0] == key and len(last[1]) == len(sources):
            pairs = zip(last[1], sources, strict=True)
            if all(own() is some and (place, version) == _state(some) for (own, place, version), some in pairs):
                return last[2]
        with torch.inference_mode(False), torch.no_grad():
            found = make()
        self._last = (key, [(weakref.ref(source), *_state(source)) for source in sources], found)
        return found


def _state(tensor: Tensor) -> tuple[int, int]:
    return tensor.data_ptr(), tensor._version
