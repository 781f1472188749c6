"""The head that reads a network, to hold its prediction against the network's orbit."""

from __future__ import annotations

from nfn_cli.architectures import to_plain_range
from nfn_cli.errors import HeadError
from nfn_cli.nn.choose import choose_head, load_head, shipped_configs, task_of_head
from nfn_cli.shipped import CLASSIFY
from nfn_cli.symmetry.transform import Source
from nfn_cli.symmetry.verification import Reader


def reader_of(source: Source, name: str | None = None) -> Reader | None:
    """The head that was asked for, or a shipped one that reads the network; None if there is none.

    Raises:
        HeadError: the named head cannot be read, or does not read the network.
    """
    from nfn_cli.nn.inr.choose_classifier import load_classifier, shipped_classifiers

    architecture = source.network.weights.architecture
    chosen = name
    if chosen is None:
        try:
            chosen = choose_head(architecture, {**shipped_configs(), **shipped_classifiers()})[0]
        except HeadError:
            return None
    if task_of_head(chosen) == CLASSIFY:
        classifier = load_classifier(chosen)
        accepted = classifier.config.accepted
        shown = source.network.activation.value_range
        reader = Reader(
            classifier.name, lambda point: classifier.classify(to_plain_range(point, shown)).logits, phases=True
        )
    else:
        head = load_head(chosen)
        accepted = head.config.accepted
        # It computes in float32, and knows nothing of phases.
        reader = Reader(head.name, lambda point: head.predict(point).accuracy, phases=False)
    reason = accepted.mismatch(architecture)
    if reason:
        raise HeadError(source.checkpoint.path, reason, f"choose another head than {name}")
    return reader
