"""The head that reads a network, to hold its prediction against the network's orbit."""

from __future__ import annotations

from nfn_cli.architectures import to_plain_range
from nfn_cli.errors import HeadError
from nfn_cli.nn.choose import choose_head, load_head, shipped_heads_of, task_of_head
from nfn_cli.shipped import CLASSIFY, PREDICT
from nfn_cli.symmetry.transform import Source
from nfn_cli.symmetry.verification import Reader


def reader_of(source: Source, name: str | None = None) -> Reader | None:
    """The head that was asked for, or a shipped one that reads the network; None if there is none.

    Raises:
        HeadError: the named head cannot be read, or does not read the network.
    """
    architecture = source.network.weights.architecture
    chosen = name
    if chosen is None:
        try:
            shipped = shipped_heads_of(PREDICT) | shipped_heads_of(CLASSIFY)
            chosen, _ = choose_head(architecture, {own: config.accepted for own, config in shipped.items()})
        except HeadError:
            return None
    head = load_head(chosen, task=CLASSIFY if task_of_head(chosen) == CLASSIFY else PREDICT)
    if head.config.accepted.is_any:
        cause = f"{head.name} reads no weights, but statistics that no element of the group changes"
        raise HeadError(source.checkpoint.path, cause, "choose another head")
    if head.config.kind.task == CLASSIFY:
        shown = source.network.activation.value_range
        reader = Reader(head.name, lambda point: head.predict(to_plain_range(point, shown)).logits, phases=True)
    else:
        # It computes in float32, and knows nothing of phases.
        reader = Reader(head.name, lambda point: head.predict(point).accuracy, phases=False)
    reason = head.config.accepted.mismatch(architecture)
    if reason:
        raise HeadError(source.checkpoint.path, reason, f"choose another head than {name}")
    return reader
