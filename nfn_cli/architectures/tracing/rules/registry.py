"""The table of rules, and what a rule is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from nfn_cli.architectures.tracing.joining import lift
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Operand, Parameter, Unsupported, Value


@dataclass(frozen=True)
class Call:
    """One call of an operator.

    Attributes:
        name: of the operator without its overload, such as `add`.
        target: the operator itself.
        args, kwargs: its arguments by the operator's schema, values in place of tensors.
        shapes, dtypes: of its outputs; no dtypes where a rule makes a call for another.
    """

    name: str
    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[torch.dtype, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its first output."""
        return self.shapes[0]

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        if place < len(self.args):
            return self.args[place]
        return self.kwargs.get(name, default)

    def value(self, trace: Trace, place: int, name: str = "") -> Value:
        """An argument as a value: a parameter is lifted."""
        found = self.get(place, name)
        return as_value(trace, found)


Rule = Callable[[Trace, Call], Any]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a function as the rule of operators."""

    def enter(function: Rule) -> Rule:
        for name in names:
            assert name not in RULES, name
            RULES[name] = function
        return function

    return enter


def as_value(
    trace: Trace, operand: Operand | None, against: Value | None = None, *, allow_points: bool = False
) -> Value:
    """A value itself, or a parameter as one."""
    if isinstance(operand, Parameter):
        return lift(trace, operand, against)
    if not isinstance(operand, Value):
        raise Unsupported(f"a {type(operand).__name__} where a tensor is expected")
    if operand.points is not None and not allow_points:
        raise Unsupported("positions of neurons")
    return operand
