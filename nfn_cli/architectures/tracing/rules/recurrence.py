"""Fused recurrent layers: all gates of a neuron move together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nfn_cli.architectures.tracing.joining import equal_scales, join
from nfn_cli.architectures.tracing.rules.contractions import contracted, known, ranked
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Factor, Ints, Parameter, Term, Unsupported, Value

# By kind: how many gates there are, and which of them is the candidate: a tanh, which commutes with a sign. Of an LSTM
# the gates are i, f, g, o; of a GRU r, z, n.
_GATES = {"lstm": (4, 2), "gru": (3, 2), "rnn_tanh": (1, 0), "rnn_relu": (1, 0)}


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(trace: Trace, call: Call) -> list[Any]:
    """A stack of layers, each in one direction or both.

    A neuron of an LSTM, a GRU or a tanh has a sign, that of its candidate; of a ReLU a positive factor.
    """
    x, states, parameters, biased, layers = call.args[:5]
    if not isinstance(parameters, (list, tuple)):
        raise Unsupported("packed sequences")
    both = bool(call.args[7])
    if call.args[5] and call.args[6]:
        raise Unsupported("random numbers, as in training")
    states = list(states) if isinstance(states, (list, tuple)) else [states]
    x = as_value(trace, x)
    per = 4 if biased else 2
    if len(parameters) != per * layers * (2 if both else 1):
        raise Unsupported("projections")
    parts = [parameters[first : first + per] for first in range(0, len(parameters), per)]
    finals: list[Factor] = []
    scales: list[Ints] = []
    rank = len(x.shape)
    for layer in range(layers):
        made, factors = [], []
        for direction in range(2 if both else 1):
            labels, scale = _layer(trace, call.name, x, parts[layer * (2 if both else 1) + direction])
            made.append(labels)
            factors.append(scale)
            finals.append(Factor(labels))
            scales.append(scale)
        labels, scale = np.concatenate(made), np.concatenate(factors)
        own = [*[1] * (rank - 1), len(labels)]
        x = Value((*x.shape[:-1], len(labels)), (Factor(labels.reshape(own)),), ((1.0, scale.reshape(own)),))
    _states(trace, states, finals, scales)
    outputs: list[Any] = [Value(call.shapes[0], x.factors, x.terms)]
    for shape in call.shapes[1:]:
        outputs.append(_final(shape, finals, scales))
    return outputs


def _layer(trace: Trace, kind: str, x: Value, parameters: Sequence[Any]) -> tuple[Ints, Ints]:
    """One layer in one direction: its neurons and their scales."""
    if not all(isinstance(own, Parameter) and not own.stored for own in parameters):
        raise Unsupported("computed weights")
    gates, candidate = _GATES[kind]
    from_input, from_state = parameters[:2]
    hidden = from_state.shape[1]
    if from_state.shape[0] != gates * hidden:
        raise Unsupported("projections")
    axis = len(x.shape) - 1
    read, inside, rest = contracted(trace, x, axis)
    if rest.is_live:
        raise Unsupported("a sequence of neurons of several others")
    labels = trace.new_labels((hidden,), from_input.name.rpartition(".")[0] or from_input.name)
    scales = trace.new_scales((hidden,))
    if kind == "rnn_relu":
        trace.relate([(1.0, scales)], logs=False)
    else:
        trace.relate([(1.0, scales)], signs=False)
    for gate in range(gates):
        scaled = gate == candidate
        first = gate * hidden
        rows: list[Term] = [(1.0, scales.reshape(-1, 1))] if scaled else []
        out = Factor(labels.reshape(-1, 1))
        factors = [out]
        if read is not None:
            slots = ranked(read.labels.reshape(-1), None if read.slots is None else read.slots.reshape(-1))
            slots = None if slots is None else slots.reshape(1, -1)
            factors.append(Factor(read.labels.reshape(1, -1), slots))
        columns = [(-c, known(trace, array).reshape(1, -1)) for c, array in inside]
        trace.use(_part(from_input, first, hidden), factors, [*rows, *columns])
        back = [(-1.0, scales.reshape(1, -1))]
        trace.use(_part(from_state, first, hidden), [out, Factor(labels.reshape(1, -1))], [*rows, *back])
        for bias in parameters[2:]:
            trace.use(_part(bias, first, hidden), [Factor(labels)], [(1.0, scales)] if scaled else [])
    return labels, scales


def _part(parameter: Parameter, first: int, count: int) -> Parameter:
    found = parameter.moved(lambda view: view.narrow(0, first, count))
    assert found is not None
    return found


def _states(trace: Trace, states: Sequence[Any], finals: Sequence[Factor], scales: Sequence[Ints]) -> None:
    """What the layers start from has their neurons."""
    for state in states:
        value = as_value(trace, state)
        if value.data is not None and not bool(value.data.any()):
            continue  # zeros, as when none are given
        final = _final(value.shape, finals, scales)
        first, second, _ = join(trace, value, final)
        equal_scales(trace, first, second)


def _final(shape: Sequence[int], finals: Sequence[Factor], scales: Sequence[Ints]) -> Value:
    """The last states [layers · directions, (batch,) hidden]."""
    labels = np.stack([factor.labels for factor in finals])
    factors = np.stack(list(scales))
    own = [labels.shape[0], *[1] * (len(shape) - 2), labels.shape[1]]
    return Value(tuple(shape), (Factor(labels.reshape(own)),), ((1.0, factors.reshape(own)),))
