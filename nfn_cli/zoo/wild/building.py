"""Write down a network step by step, with the shape that each step gives.

>>> steps = Steps((1, 8, 8))
>>> steps.conv("conv1", 4, 3).act("relu").op("mean").linear("fc", 10).shape
(10,)
>>> steps.listed[-1]
{'op': 'linear', 'name': 'fc', 'ins': 4, 'outs': 10, 'bias': True}
"""

from __future__ import annotations

import math
from typing import Any


class Steps:
    """The steps of a network for `nfn_cli.architectures.families.recorded`.

    Attributes:
        listed: as `config.json` holds them.
        shape: what the last step gives, without the batch: (channels, height, width) or (features,).
        products: multiplications of one picture's forward pass, in linear and convolution layers.
    """

    def __init__(self, picture: tuple[int, int, int]) -> None:
        self.listed: list[dict[str, Any]] = []
        self.shape: tuple[int, ...] = picture
        self._shapes: list[tuple[int, ...]] = []
        self.picture = picture
        self._from: int | None = None
        self.products = 0

    @property
    def place(self) -> int:
        """The number of the last step."""
        return len(self.listed) - 1

    @property
    def values(self) -> int:
        """How many numbers all steps give for one picture."""
        return sum(map(math.prod, self._shapes))

    def at(self, place: int) -> Steps:
        """The next step reads this one."""
        self.shape = self.picture if place < 0 else self._shapes[place]
        self._from = place
        return self

    def conv(
        self, name: str, outs: int, kernel: int, *, stride: int = 1, padding: int | None = None, bias: bool = True
    ) -> Steps:
        """A square convolution; by default its padding keeps the size."""
        ins, height, width = self.shape
        padding = kernel // 2 if padding is None else padding
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in (height, width)]
        sizes = {"ins": ins, "outs": outs, "kernel": kernel, "stride": stride, "padding": padding, "bias": bias}
        self.products += ins * outs * kernel**2 * sides[0] * sides[1]
        return self._add("conv", (outs, *sides), name=name, **sizes)

    def linear(self, name: str, outs: int, *, bias: bool = True) -> Steps:
        """A linear layer."""
        self.products += self.shape[0] * outs
        return self._add("linear", (outs,), name=name, ins=self.shape[0], outs=outs, bias=bias)

    def norm(self, kind: str, name: str) -> Steps:
        """A norm over the channels: `batch`, `group`, `layer` or `none`."""
        size = self.shape[0]
        if kind == "batch":
            return self._add("batchnorm2d" if len(self.shape) == 3 else "batchnorm1d", self.shape, name=name, size=size)
        if kind == "group":
            groups = next(number for number in (8, 4, 2, 1) if size % number == 0)
            return self._add("groupnorm", self.shape, name=name, groups=groups, size=size)
        if kind == "layer":
            return self._add("layernorm", self.shape, name=name, size=size)
        return self

    def act(self, kind: str) -> Steps:
        """An activation; `none` is none."""
        return self if kind == "none" else self._add(kind, self.shape)

    def pool(self, kind: str, size: int = 2) -> Steps:
        """`maxpool` or `avgpool`, where the picture is large enough."""
        channels, height, width = self.shape
        if min(height, width) < size:
            return self
        return self._add(kind, (channels, height // size, width // size), size=size)

    def dropout(self, rate: float) -> Steps:
        """Dropout, where the rate is not 0."""
        return self._add("dropout", self.shape, rate=round(rate, 3)) if rate > 0 else self

    def op(self, kind: str) -> Steps:
        """`mean` over space, or `flatten`."""
        channels, *sides = self.shape
        features = channels if kind == "mean" else channels * sides[0] * sides[1]
        return self._add(kind, (features,))

    def add(self, *places: int) -> Steps:
        """The sum with earlier steps, in the channels that both have."""
        return self._add("add", self.shape, **{"with": list(places)})

    def _add(self, op: str, shape: tuple[int, ...], **fields: Any) -> Steps:
        step = {"op": op, **fields}
        if self._from is not None:
            step["from"] = self._from
        self._from = None
        self.listed.append(step)
        self._shapes.append(shape)
        self.shape = shape
        return self
