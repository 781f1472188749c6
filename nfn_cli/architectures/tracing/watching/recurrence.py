"""Recurrent layers, whose two biases only occur as a sum."""

from __future__ import annotations

from nfn_cli.architectures.tracing.rules.recurrence import _GATES
from nfn_cli.architectures.tracing.rules.registry import Call
from nfn_cli.architectures.tracing.values import Parameter
from nfn_cli.architectures.tracing.watching.notes import Notes, Recurrence


def recurrence(notes: Notes, call: Call) -> None:
    """Note the biases of each layer. Those of a GRU's candidate are left out, since a gate lies between them."""
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
            notes.recurrences.append(Recurrence((pair[0].name, pair[1].name), count))
