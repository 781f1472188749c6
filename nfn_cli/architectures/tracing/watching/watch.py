"""Which operators are noted, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from nfn_cli.architectures.tracing.rules.movement import _MOVES, _SAME
from nfn_cli.architectures.tracing.rules.recurrence import _GATES
from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.values import Parameter, Value
from nfn_cli.architectures.tracing.watching.attention import attention, multiplied
from nfn_cli.architectures.tracing.watching.gains import scaled
from nfn_cli.architectures.tracing.watching.movement import EXPANDS, SPLITS, moved
from nfn_cli.architectures.tracing.watching.normalisations import layer_normalised, rms_normalised, softmax, squared
from nfn_cli.architectures.tracing.watching.notes import Made, Notes, parts_of
from nfn_cli.architectures.tracing.watching.recurrence import recurrence
from nfn_cli.architectures.tracing.watching.sums import added, concatenated, negated
from nfn_cli.architectures.tracing.watching.weights import dense, embedded

Note = Callable[[Notes, Call, Value, Made], bool]

_WEIGHTED = ("linear", "addmm", "matmul", "mm", "__matmul__", "conv1d", "conv2d", "convolution")
_SQUARED = ("mean", "pow", "square")
# What is noted of an operator that reads no weight, or not by one matrix along one axis.
_NOTES: dict[str, Note] = {
    **dict.fromkeys(("matmul", "bmm", "mm", "__matmul__"), multiplied),
    "scaled_dot_product_attention": attention,
    "embedding": embedded,
    **dict.fromkeys(("add", "sub", "add_", "sub_"), added),
    **dict.fromkeys(("cat", "concat"), concatenated),
    **dict.fromkeys(("mul", "div", "mul_", "div_"), scaled),
    "neg": negated,
    "rms_norm": rms_normalised,
    "layer_norm": layer_normalised,
    **dict.fromkeys(("softmax", "_softmax", "log_softmax", "_log_softmax"), softmax),
}


class Watch(Notes):
    """Notes that are taken while operators are traced."""

    def saw(self, call: Call, operands: Sequence[Any], found: Any, made: Made) -> Any:
        """Note an operator.

        Args:
            operands: all values and parameters that it reads.
            found: what its rule says.
            made: by parameter, the uses that the rule has recorded.

        Returns:
            What stands for `found`: the same, or the same as another object.
        """
        if call.name in _SAME or found is None or all(isinstance(part, Parameter) for part in parts_of(found)):
            return found
        for operand in operands:
            if isinstance(operand, Parameter):
                self.uses[operand.name] = self.uses.get(operand.name, 0) + 1
        if call.name in _MOVES or call.name in SPLITS or call.name in EXPANDS:
            if isinstance(call.args[0], Value):
                moved(self, call, found)
            return found
        known = isinstance(found, Value) and _is_known(self, call, operands, found, made)
        if known and call.name in ("mul", "div", "mul_", "div_") and any(found is own for own in operands):
            # A number's product is the same value to the rules: but weights do not sum to 1 any more.
            fresh = replace(found)
            self.shifts.passed(found, fresh)
            if id(found) in self.scaled:
                self.scaled[id(fresh)] = (fresh, self.scaled[id(found)][1])
            return fresh
        if not known:
            _unknown(self, operands, found, made)
            if call.name in _GATES:
                recurrence(self, call)
        return found

    def shown(self, value: Any) -> None:
        """An output."""
        self.hold(value)
        self.fail(value)


def _is_known(notes: Notes, call: Call, operands: Sequence[Any], found: Value, made: Made) -> bool:
    """Note an operator if it is linear or a known normalisation; returns whether it is."""
    if call.name in _SQUARED:
        return squared(notes, call, found)
    if any(isinstance(own, Value) and id(own) in notes.squares for own in operands):
        return False
    if call.name in _WEIGHTED and dense(notes, call, found, made):
        return True
    return call.name in _NOTES and _NOTES[call.name](notes, call, found, made)


def _unknown(notes: Notes, operands: Sequence[Any], found: Any, made: Made) -> None:
    """An operator of which nothing is known: it may see each coordinate and each shift."""
    for value in (*operands, *parts_of(found)):
        notes.hold(value)
    for uses in made.values():
        for use in uses:
            notes.rigid += [role.labels for role in use.roles]
    for operand in operands:
        notes.fail(operand)
        if isinstance(operand, Parameter):
            notes.gain_fails.setdefault(operand.name, [])
