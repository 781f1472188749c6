"""Kinds of families. All bases of a kind are trained on the same data in the same order: only their seeds differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from networks import gpt2, llama
from recipes import Build, adam, cnn, language, resnet, sgd
from training import Training

_SHORT = 8  # a short fine-tune takes so many times fewer steps
_SLOWER = 3  # and so many times less of the rate


@dataclass(frozen=True)
class Kind:
    """A kind of families.

    Attributes:
        family: of networks, as the null is kept.
        count: of families.
    """

    name: str
    family: str
    count: int
    build: Build
    training: Training

    @property
    def long(self) -> Training:
        """Fine-tuning of as many steps as training, at the same rate."""
        return replace(self.training, order=self.training.order + 50)

    def short(self, order: int) -> Training:
        """A short fine-tuning.

        Args:
            order: another for each, so that children differ.
        """
        own = self.training
        return replace(own, steps=own.steps // _SHORT, rate=own.rate / _SLOWER, order=own.order + order)


_LLAMA = partial(language, llama)
_GPT2 = partial(language, gpt2)

KINDS = {
    kind.name: kind
    for kind in (
        Kind("cnn-16-16-16", "cnn", 5, cnn(16, 16, 16), adam(600, 32, 1e-2, 101)),
        Kind("cnn-8-16-24", "cnn", 5, cnn(8, 16, 24), sgd(600, 32, 0.15, 102)),
        Kind("cnn-24-32-32", "cnn", 5, cnn(24, 32, 32), adam(600, 32, 6e-3, 103, 0.01)),
        Kind("resnet-8", "resnet", 5, resnet((8, 16, 32)), adam(200, 64, 3e-3, 104)),
        Kind("resnet-10", "resnet", 5, resnet((8, 16, 24), (1, 2, 1)), sgd(200, 64, 0.1, 105, 5e-4)),
        Kind("resnet-14", "resnet", 5, resnet((8, 12, 16), (2, 2, 2)), adam(200, 64, 3e-3, 106, 0.01)),
        Kind("llama-48", "lm", 3, _LLAMA(48, 2, inner=128, heads=4, groups=2), adam(600, 8, 3e-3, 107, 0.1)),
        Kind("gpt2-48", "lm", 3, _GPT2(48, 2, heads=4), adam(600, 8, 3e-3, 108, 0.1)),
        Kind("llama-72", "lm", 3, _LLAMA(72, 3, inner=192, heads=6, groups=3), adam(600, 8, 3e-3, 109, 0.1)),
        Kind("gpt2-64", "lm", 3, _GPT2(64, 3, heads=4), adam(600, 8, 2e-3, 110, 0.1)),
    )
}
