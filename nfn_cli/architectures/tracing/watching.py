"""Notes beside a trace: which operators are linear in which neurons, for freedoms that are no monomial matrices.

The rules know nothing of it. What is not noted as linear is taken as anything but.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfn_cli.architectures.labels import Role, Use
from nfn_cli.architectures.tracing.rules.movement import _MOVES, _SAME
from nfn_cli.architectures.tracing.rules.recurrence import _GATES
from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.shifts import Alike, Move, Shifts
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Parameter, Value

Labels = NDArray[np.integer[Any]]  # of a trace, NONE where there is none
SOFTMAX, LAYER_NORM = "softmax", "LayerNorm"
_SPLITS = ("split", "split_with_sizes", "chunk", "unbind", "tensor_split", "unsafe_split", "unsafe_chunk")
_EXPANDS = ("expand", "expand_as", "broadcast_to", "view_as", "reshape_as")


@dataclass(frozen=True)
class Bond:
    """Two arrays of labels, entry by entry: their coordinates are changed by one matrix A, or, odd, by A and A⁻ᵀ."""

    ours: Labels
    theirs: Labels
    odd: bool = False


@dataclass(frozen=True)
class Whole:
    """Each slice of an array of labels along some axes must have all labels of a space or none."""

    labels: Labels
    axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recurrence:
    """Two biases that are only ever added: so many numbers may go from one to the other."""

    names: tuple[str, str]
    count: int


@dataclass(frozen=True)
class Centred:
    """A weight that reads numbers of mean 0, scaled by gains: one more number may be added to each of its rows / gains.

    Attributes:
        alone: tensors that must have no other use.
    """

    weight: str
    outputs: int
    alone: frozenset[str]


class Watch:
    """What is noted of a trace.

    Attributes:
        rigid: labels that meet something that sees each coordinate.
        bonds, whole: what coordinates must keep.
        rounds: labels whose sum of squares is seen, and nothing more: only rotations are left.
        levelled: labels from which the mean is taken, too: rotations that fix the vector of ones.
        gains: by parameter, the labels that it scales.
        absorbed: (gain, weight) pairs: the weight reads what the gain scales, and nothing else does.
        signs: by parameter, for each use of the trace the sign of its roles: 1 for what it makes, −1 for what it reads.
        uses: by parameter, how many operators read it.
        values, keys: labels that attention weighs, and compares.
        recurrences: biases of recurrent layers. centred: weights behind a LayerNorm.
        shifts: what is added.
    """

    def __init__(self) -> None:
        self.rigid: list[Labels] = []
        self.bonds: list[Bond] = []
        self.whole: list[Whole] = []
        self.rounds: list[Labels] = []
        self.levelled: list[Labels] = []
        self.gains: dict[str, list[Labels]] = {}
        self.gain_fails: dict[str, list[Labels]] = {}
        self.absorbed: list[tuple[str, str]] = []
        self.signs: dict[str, list[tuple[Use, list[tuple[Labels, int]]]]] = {}
        self.uses: dict[str, int] = {}
        self.exempt: list[Labels] = []
        self.values: list[Labels] = []
        self.keys: list[Labels] = []
        self.recurrences: list[Recurrence] = []
        self.centred: list[Centred] = []
        self.shifts = Shifts()
        self._squares: dict[int, tuple[Value, Value]] = {}  # x² by x
        self._scaled: dict[int, tuple[Value, str]] = {}  # what a gain has scaled
        self._means: dict[int, tuple[Value, Labels, bool]] = {}  # of mean 0 over some labels; whether a bias came after
        self._sums: dict[int, Value] = {}  # weights that sum to 1 along their last axis

    # What an operator does.

    def saw(self, trace: Trace, call: Call, operands: Sequence[Any], found: Any, made: dict[str, list[Use]]) -> Any:
        """Note an operator.

        Args:
            operands: all values and parameters that it reads.
            found: what its rule says.
            made: by parameter, the uses that the rule has recorded.

        Returns:
            What stands for `found`: the same, or the same as another object.
        """
        if call.name in _SAME or found is None or all(isinstance(part, Parameter) for part in _parts(found)):
            return found
        for operand in operands:
            if isinstance(operand, Parameter):
                self.uses[operand.name] = self.uses.get(operand.name, 0) + 1
        if call.name in _MOVES or call.name in _SPLITS or call.name in _EXPANDS:
            if isinstance(call.args[0], Value):
                self._moves(call, found)
            return found
        known = isinstance(found, Value) and self._known(call, operands, found, made)
        if known and call.name in ("mul", "div", "mul_", "div_") and any(found is own for own in operands):
            # A number's product is the same value to the rules: but weights do not sum to 1 any more.
            fresh = replace(found)
            self.shifts.passed(found, fresh)
            if id(found) in self._scaled:
                self._scaled[id(fresh)] = (fresh, self._scaled[id(found)][1])
            return fresh
        if not known:
            self._unknown(trace, operands, found, made)
            if call.name in _GATES:
                self._recurrence(call)
        return found

    def shown(self, value: Any) -> None:
        """An output."""
        self._rigid(value)
        self._fail(value)

    def _known(self, call: Call, operands: Sequence[Any], found: Value, made: dict[str, list[Use]]) -> bool:
        """Whether it is linear, or one of the normalisations that are known; noted then, and else nothing is."""
        if call.name in ("mean", "pow", "square"):
            return self._squared(call, found)
        if any(isinstance(own, Value) and id(own) in self._squares for own in operands):
            return False
        weighted = ("linear", "addmm", "matmul", "mm", "__matmul__", "conv1d", "conv2d", "convolution")
        if call.name in weighted and self._dense(call, found, made):
            return True
        if call.name in ("matmul", "bmm", "mm", "__matmul__"):
            x, y = call.args[:2]
            return isinstance(x, Value) and isinstance(y, Value) and self._product(x, y, found)
        if call.name == "scaled_dot_product_attention":
            return self._attention(call, found)
        if call.name == "embedding":
            return self._embedding(call, found, made)
        if call.name in ("add", "sub", "add_", "sub_"):
            return self._sum(call, found, made)
        if call.name in ("cat", "concat"):
            return self._beside(call, found, made)
        if call.name in ("mul", "div", "mul_", "div_"):
            return self._scale(call, found, made)
        if call.name == "neg":
            x = call.args[0]
            if isinstance(x, Value) and not self._is_scaled(x):
                self.shifts.passed(x, found)
                return True
            return False
        if call.name == "rms_norm":
            return self._normalised(call, found, made, self.rounds)
        if call.name == "layer_norm":
            return self._normalised(call, found, made, self.levelled)
        if call.name in ("softmax", "_softmax", "log_softmax", "_log_softmax"):
            return self._softmax(call, found)
        return False

    def _unknown(self, trace: Trace, operands: Sequence[Any], found: Any, made: dict[str, list[Use]]) -> None:
        for value in (*operands, *_parts(found)):
            self._rigid(value)
        for uses in made.values():
            for use in uses:
                self.rigid += [role.labels for role in use.roles]
        for operand in operands:
            self._fail(operand)
            if isinstance(operand, Parameter):
                self.gain_fails.setdefault(operand.name, [])

    def _rigid(self, value: Any) -> None:
        if isinstance(value, Value):
            self.rigid += [factor.labels for factor in value.factors]

    def _fail(self, value: Any) -> None:
        self.shifts.fail(*self.shifts.of(value))

    def _is_scaled(self, value: Value) -> bool:
        """Whether it is behind a gain that can only go into weights; noted as seen otherwise."""
        if id(value) in self._scaled:
            gain = self._scaled[id(value)][1]
            self.gain_fails.setdefault(gain, []).extend(factor.labels for factor in value.factors)
            return True
        return False

    # Movement.

    def _moves(self, call: Call, found: Any) -> None:
        x = call.args[0]
        for place, part in enumerate(_parts(found)):
            if not isinstance(part, Value):
                continue
            for factor in part.factors:
                self.whole.append(Whole(factor.labels))
                if factor.slots is not None:
                    self.rigid.append(factor.labels)
            self.shifts.moved(x, part, self._move(call, part.shape, place, several=part is not found))
            if id(x) in self._scaled:
                self._scaled[id(part)] = (part, self._scaled[id(x)][1])
            if id(x) in self._means:
                self._means[id(part)] = (part, *self._means[id(x)][1:])
            if id(x) in self._squares:
                self._rigid(part)

    @staticmethod
    def _move(call: Call, shape: tuple[int, ...], place: int, *, several: bool) -> Move:
        if call.name in _EXPANDS:
            return lambda tensor: tensor.reshape(shape) if call.name.endswith("_as") else tensor.expand(shape)
        if several:
            return lambda tensor: call.target(tensor, *call.args[1:], **call.kwargs)[place]
        return lambda tensor: call.target(tensor, *call.args[1:], **call.kwargs)

    # Weights.

    def _dense(self, call: Call, found: Value, made: dict[str, list[Use]]) -> bool:
        """One matrix along one axis."""
        bias: Any = None
        if call.name == "addmm":
            bias, x, weight = call.args[:3]
        else:
            x, weight = call.args[:2]
            bias = call.get(2, "bias") if call.name not in ("matmul", "mm", "__matmul__") else None
        if not isinstance(x, Value) or not isinstance(weight, Parameter) or weight.stored or not _flat(bias):
            return False
        axis = len(x.shape) - 1
        if call.name.startswith("conv"):
            groups = int(call.args[8] if call.name == "convolution" else call.get(6, "groups", 1))
            if groups != 1 or (call.name == "convolution" and call.args[6]):
                return False
            axis = len(x.shape) - len(weight.shape) + 1
        elif len(weight.shape) != 2:
            return False
        read = x.factor_on(axis)
        out = found.factor_on(axis)
        if (read is not None and not _plain(read, axis)) or out is None or not _plain(out, axis):
            return False
        if bias is not None:  # alike along other axes, which is nothing that a matrix there would keep
            self.rigid += [factor.labels for factor in found.factors if factor is not out]
        self._matrix(weight.name, made, read)
        if id(x) in self._scaled:
            self.absorbed.append((self._scaled[id(x)][1], weight.name))
        if id(x) in self._means and read is not None and not call.name.startswith("conv"):
            _, labels, shifted = self._means[id(x)]
            own_bias = {bias.name} if isinstance(bias, Parameter) and not bias.stored else set()
            if np.array_equal(np.sort(read.labels.reshape(-1)), labels) and (own_bias or not shifted):
                alone = frozenset({weight.name} | (own_bias if shifted else set()))
                self.centred.append(Centred(weight.name, out.labels.size, alone))
        # Around a convolution stand zeros, to which nothing is added.
        takes = isinstance(bias, Parameter) and not bias.stored and not call.name.startswith("conv")
        self.shifts.read(x, axis, bias.name if takes else None)
        self.shifts.writes(weight.name, int(np.prod(weight.shape)), found, axis)
        self._bias(bias, out, found, axis, made)
        return True

    def _matrix(self, name: str, made: dict[str, list[Use]], read: Factor | None) -> None:
        labels = None if read is None else np.unique(read.labels)
        for use in made.get(name, []):
            roles: list[tuple[Labels, int]] = []
            for role in use.roles:
                reads = labels is not None and bool(np.isin(role.labels, labels).all())
                roles.append((role.labels, -1 if reads else 1))
                self.whole.append(Whole(role.labels))
            self.signs.setdefault(name, []).append((use, roles))

    def _bias(self, bias: Any, out: Factor, found: Value, axis: int, made: dict[str, list[Use]]) -> None:
        if not isinstance(bias, Parameter):
            return
        for use in made.get(bias.name, []):
            for role in use.roles:
                self.bonds.append(Bond(role.labels.reshape(-1), out.labels.reshape(-1)))
            self.signs.setdefault(bias.name, []).append((use, _made(use.roles)))
        self.shifts.writes(bias.name, int(np.prod(bias.shape)), found, axis)
        self.shifts.adds(bias.name, found, axis)

    def _embedding(self, call: Call, found: Value, made: dict[str, list[Use]]) -> bool:
        table = call.args[0]
        if not isinstance(table, Parameter) or table.stored or len(table.shape) != 2:
            return False
        self._matrix(table.name, made, None)
        self.shifts.writes(table.name, int(np.prod(table.shape)), found, -1)
        return True

    # Values.

    def _sum(self, call: Call, found: Value, made: dict[str, list[Use]]) -> bool:
        x, y = call.args[:2]
        if isinstance(x, Parameter):
            x, y = y, x
        if not isinstance(x, Value) or not isinstance(y, (Value, Parameter)):
            return False
        if isinstance(y, Parameter):
            return not self._is_scaled(x) and self._parameter_added(x, y, found, made)
        self._is_scaled(x)  # what a sum sees no weight can take in; shifts pass all the same
        self._is_scaled(y)
        rank = len(found.shape)
        ours, theirs = x.lifted(rank), y.lifted(rank)
        for one, other in ((ours, theirs), (theirs, ours)):
            for factor in one.factors:
                partner = next((own for own in other.factors if own.axes == factor.axes), None)
                if partner is None or partner.slots is not None or factor.slots is not None:
                    self.rigid.append(factor.labels)
                else:
                    self.bonds.append(Bond(factor.labels, partner.labels))
        self._same(found, ours)
        self.shifts.passed(x, found)
        self.shifts.passed(y, found)
        return True

    def _parameter_added(self, x: Value, y: Parameter, found: Value, made: dict[str, list[Use]]) -> bool:
        if not x.shape or not y.shape:  # a single number, along no axis
            return False
        out = found.factor_on(len(found.shape) - 1)
        read = x.factor_on(len(x.shape) - 1)
        if out is None or y.stored or y.shape[-1] != found.shape[-1] or not _plain(out, len(found.shape) - 1):
            return False
        if read is None or len(found.factors) != 1 or not _plain(read, len(x.shape) - 1):
            return False
        self.bonds.append(Bond(out.labels.reshape(-1), read.labels.reshape(-1)))
        for use in made.get(y.name, []):
            roles = [role for role in use.roles if role.labels.size == found.shape[-1]]
            if len(roles) != len(use.roles):
                return False
            self.bonds += [Bond(role.labels.reshape(-1), out.labels.reshape(-1)) for role in roles]
            self.signs.setdefault(y.name, []).append((use, _made(roles)))
        self.shifts.passed(x, found)
        self.shifts.writes(y.name, int(np.prod(y.shape)), found, -1)
        if _flat(y):
            self.shifts.adds(y.name, found, -1)
        return True

    def _beside(self, call: Call, found: Value, made: dict[str, list[Use]]) -> bool:
        """Values behind each other along an axis of no neurons."""
        rank = len(found.shape)
        axis = int(call.get(1, "dim", 0)) % rank
        parts = call.args[0]
        last = found.factor_on(rank - 1)
        if axis == rank - 1 or found.factor_on(axis) is not None or any(len(part.shape) != rank for part in parts):
            return False
        if any(isinstance(part, Value) and self._is_scaled(part) for part in parts):
            return False
        for part in parts:
            if isinstance(part, Parameter):
                uses = made.get(part.name, [])
                if last is None or part.stored or part.shape[-1] != found.shape[-1] or not _plain(last, rank - 1):
                    return False
                if any(role.labels.size != found.shape[-1] for use in uses for role in use.roles):
                    return False
                for use in uses:
                    self.bonds += [Bond(role.labels.reshape(-1), last.labels.reshape(-1)) for role in use.roles]
                    self.signs.setdefault(part.name, []).append((use, _made(use.roles)))
        for part in parts:
            if isinstance(part, Value):
                self._same(part, found)
                if {factor.axes for factor in part.factors} != {factor.axes for factor in found.factors}:
                    self._rigid(part)
                    self._rigid(found)
                for shift in self.shifts.of(part):
                    if isinstance(shift, Alike) and shift.axis != axis:
                        self.shifts.carry(found, [shift])
                    else:
                        self.shifts.fail(shift)
            else:
                self.shifts.writes(part.name, int(np.prod(part.base.shape)), found, -1)
        return True

    def _same(self, found: Value, like: Value) -> None:
        """What comes out has the neurons of one operand, or others that follow from them."""
        for factor in found.factors:
            partner = next((own for own in like.factors if own.axes == factor.axes), None)
            if partner is not None:
                self.bonds.append(Bond(factor.labels, partner.labels))

    def _scale(self, call: Call, found: Value, made: dict[str, list[Use]]) -> bool:
        x, y = call.args[:2]
        if isinstance(x, (int, float)) and call.name.startswith("mul"):
            x, y = y, x
        if isinstance(y, (int, float)):
            if isinstance(x, Value) and found is not x:
                self.shifts.passed(x, found)
            return isinstance(x, Value)
        if call.name.startswith("mul") and isinstance(x, Parameter):
            x, y = y, x
        if isinstance(y, Parameter):
            return isinstance(x, Value) and call.name.startswith("mul") and self._gain(x, y, found, made)
        if not isinstance(x, Value) or not isinstance(y, Value) or self._is_scaled(y) | self._is_scaled(x):
            return False
        rank = len(found.shape)
        x, y = x.lifted(rank), y.lifted(rank)
        if x.shape != found.shape:
            x, y = y, x
        if call.name.startswith("div") and call.args[0].lifted(rank).shape != x.shape:
            return False
        by = tuple(axis for axis in range(rank) if y.varies(axis) or y.factor_on(axis) is not None)
        for factor in x.factors:
            if factor.slots is not None:
                self.rigid.append(factor.labels)
            self.whole.append(Whole(factor.labels, tuple(axis for axis in factor.axes if axis in by)))
        for factor in y.factors:
            self.rigid.append(factor.labels)
        self._same(found, x)
        self._fail(call.args[1])
        self._fail(call.args[0])
        return True

    def _gain(self, x: Value, gain: Parameter, found: Value, made: dict[str, list[Use]]) -> bool:
        """A vector along the last axis: the weights that read the product can take it in."""
        axis = len(found.shape) - 1
        factor = found.factor_on(axis)
        inside = x.factor_on(axis)
        if (
            self._is_scaled(x)
            or factor is None
            or inside is None
            or not _plain(factor, axis)
            or not _plain(inside, axis)
        ):
            return False
        if not _flat(gain) or gain.shape[0] != found.shape[axis] or not all(step.kind == "add" for step in gain.stored):
            return False
        self._scaled_by(gain.name, inside, found, made)
        self.bonds.append(Bond(factor.labels, inside.labels))
        self._fail(x)
        return True

    def _scaled_by(self, name: str, inside: Factor, found: Value, made: dict[str, list[Use]]) -> None:
        self.gains.setdefault(name, []).append(inside.labels)
        self._scaled[id(found)] = (found, name)
        for use in made.get(name, []):
            self.exempt += [role.labels for role in use.roles]

    def _product(self, x: Value, y: Value, found: Value) -> bool:
        """Two values: what is summed over is a pair of a space and its dual, the rest passes."""
        if min(len(x.shape), len(y.shape)) < 2 or self._is_scaled(x) | self._is_scaled(y):
            return False
        rank = len(found.shape)
        weights = id(x) in self._sums
        x, y, own_x, own_y = x.lifted(rank), y.lifted(rank), x, y
        read, theirs = x.factor_on(rank - 1), y.factor_on(rank - 2)
        if (read is None) != (theirs is None):
            return False
        for value in (x, y):
            if any(factor.slots is not None for factor in value.factors):
                return False
        if read is not None and theirs is not None:
            mine = np.swapaxes(read.labels, -1, -2)
            if mine.shape[-1] != 1 or theirs.labels.shape[-1] != 1:
                return False
            self.bonds.append(Bond(mine, theirs.labels, odd=True))
            self.keys += [mine, theirs.labels]
        batch = tuple(range(rank - 2))
        for value, other in ((x, y), (y, x)):
            varies = tuple(axis for axis in batch if other.varies(axis) or other.factor_on(axis) is not None)
            for factor in value.factors:
                self.whole.append(Whole(factor.labels, tuple(axis for axis in factor.axes if axis in varies)))
        for factor in found.factors:
            for own, axis in ((x, rank - 2), (y, rank - 1)):
                # Rows of x, and columns of y, pass.
                passing = own.factor_on(axis)
                if passing is not None and factor.labels.shape[axis] > 1:
                    self.bonds.append(Bond(factor.labels, passing.labels))
                    if weights and own is y:
                        self.values.append(passing.labels)
        if weights:
            self.shifts.weighed(own_y, found)
        elif read is not None:
            self.shifts.compared(own_y, found, -1)
        else:
            self._fail(own_y)
        self._fail(own_x)
        return True

    def _attention(self, call: Call, found: Value) -> bool:
        q, k, v = call.args[:3]
        if not all(isinstance(own, Value) and len(own.shape) == 4 for own in (q, k, v)) or call.kwargs.get(
            "enable_gqa"
        ):
            return False
        if any(self._is_scaled(own) for own in (q, k, v)) or any(
            f.slots is not None for own in (q, k, v) for f in own.factors
        ):
            return False
        ours, theirs = q.factor_on(3), k.factor_on(3)
        if ours is None or theirs is None or q.factor_on(2) is not None or k.factor_on(2) is not None:
            return False
        if v.factor_on(2) is not None:
            return False
        self.bonds.append(Bond(ours.labels, theirs.labels, odd=True))
        self.keys += [ours.labels, theirs.labels]
        for own in (q, k, v):
            for factor in own.factors:
                self.whole.append(Whole(factor.labels, tuple(axis for axis in factor.axes if axis < 2)))
        out, value = found.factor_on(3), v.factor_on(3)
        if out is not None and value is not None:
            self.bonds.append(Bond(out.labels, value.labels))
            self.values.append(value.labels)
        mask = call.get(3, "attn_mask")
        for shift in self.shifts.of(k):
            if getattr(shift, "array", np.zeros((2, 2))).shape[-2] == 1:
                self.shifts.take(shift, SOFTMAX)
            else:
                self.shifts.fail(shift)
        if mask is None:
            self.shifts.weighed(v, found)
        else:  # a row of which all is masked has no weights
            self._fail(v)
        self._fail(q)
        self._fail(mask)
        return not isinstance(mask, Parameter)

    # Normalisations.

    def _softmax(self, call: Call, found: Value) -> bool:
        x = call.args[0]
        if not isinstance(x, Value) or self._is_scaled(x):
            return False
        axis = int(call.get(1, "dim")) % len(x.shape)
        self.rigid += [factor.labels for factor in x.factors]
        self.shifts.normalised(x, axis, SOFTMAX)
        if axis == len(x.shape) - 1 and "log" not in call.name:
            self._sums[id(found)] = found
        return True

    def _squared(self, call: Call, found: Value) -> bool:
        """The mean of squares along the last axis, in two steps; means along axes of no neurons."""
        x = call.args[0]
        if not isinstance(x, Value):
            return False
        if call.name != "mean":
            if (call.name == "pow" and call.get(1, "exponent") != 2) or self._is_scaled(x):
                return False
            self._squares[id(found)] = (found, x)
            self._fail(x)
            return True
        rank = len(x.shape)
        given = call.get(1, "dim")
        axes = {
            int(axis) % rank
            for axis in (given if isinstance(given, (list, tuple)) else [given] if given is not None else range(rank))
        }
        if id(x) in self._squares:
            before = self._squares[id(x)][1]
            factor = before.factor_on(rank - 1)
            if axes != {rank - 1} or factor is None:
                return False
            others = tuple(axis for axis in factor.axes if axis != rank - 1)
            self.rounds.append(factor.labels)
            self.whole += [Whole(own.labels, others if own is factor else own.axes) for own in before.factors]
            return True
        if any(axes & set(factor.axes) for factor in x.factors) or self._is_scaled(x):
            return False
        self._fail(x)
        return True

    def _normalised(self, call: Call, found: Value, made: dict[str, list[Use]], notes: list[Labels]) -> bool:
        x = call.args[0]
        if not isinstance(x, Value) or len(call.args[1]) != 1 or self._is_scaled(x):
            return False
        axis = len(x.shape) - 1
        factor, out = x.factor_on(axis), found.factor_on(axis)
        weight, bias = call.get(2, "weight"), call.get(3, "bias") if notes is self.levelled else None
        if notes is self.levelled:
            self.shifts.normalised(x, axis, LAYER_NORM)
        else:
            self._fail(x)
        if factor is None or out is None or factor.slots is not None:
            return False
        plain = _plain(factor, axis) and _plain(out, axis)
        if (weight is not None or bias is not None) and not plain:
            return False
        if any(own is not None and (not _flat(own) or own.stored) for own in (weight, bias)):
            return False
        notes.append(factor.labels)
        self.whole += [Whole(own.labels, tuple(a for a in own.axes if a != axis)) for own in x.factors]
        if out.labels.shape != factor.labels.shape:
            return False
        self.bonds.append(Bond(out.labels, factor.labels))
        if weight is not None:
            self._scaled_by(weight.name, factor, found, made)
        if notes is self.levelled and plain:
            self._means[id(found)] = (found, np.sort(out.labels.reshape(-1)), bias is not None)
        if bias is not None:
            for use in made.get(bias.name, []):
                self.exempt += [role.labels for role in use.roles]
            if weight is None:
                return False
            self.shifts.adds(bias.name, found, axis)
        return True

    def _recurrence(self, call: Call) -> None:
        """All sums of two biases, but that of a GRU's candidate, of which one part is gated."""
        parameters, biased = call.args[2], bool(call.args[3])
        if not biased or not isinstance(parameters, (list, tuple)):
            return
        gates, _ = _GATES[call.name]
        for first in range(0, len(parameters), 4):
            pair = parameters[first + 2 : first + 4]
            if len(pair) == 2 and all(
                isinstance(own, Parameter) and not own.stored and len(own.shape) == 1 for own in pair
            ):
                hidden = pair[0].shape[0] // gates
                count = hidden * (2 if call.name == "gru" else gates)
                self.recurrences.append(Recurrence((pair[0].name, pair[1].name), count))


def _made(roles: Sequence[Role]) -> list[tuple[Labels, int]]:
    return [(role.labels, 1) for role in roles]


def _parts(found: Any) -> Sequence[Any]:
    return found if isinstance(found, (list, tuple)) else [found]


def _flat(parameter: Any) -> bool:
    """Whether a parameter is a vector, or there is none."""
    return parameter is None or (isinstance(parameter, Parameter) and len(parameter.shape) == 1)


def _plain(factor: Factor, axis: int) -> bool:
    """Whether all entries along one axis are neurons of their own."""
    labels = factor.labels
    return (
        factor.axes == (axis,) and factor.slots is None and len(np.unique(labels)) == labels.size and labels.min() >= 0
    )
