"""The tasks that heads serve, the kinds of heads, and the edits, by name: what a command offers before torch is there.

A kind of head is one file and one entry here; an edit is one file in `inr/edits/`.

>>> [name for name, kind in HEAD_KINDS.items() if kind.task == "classify-inr"]
['coordinate-probe', 'monomial-inr']
>>> "dilate" in EDITS
True
"""

from __future__ import annotations

from dataclasses import dataclass

from nfn_cli.nn.inr.edits import EDITS

__all__ = ["EDITS", "HEAD_KINDS", "TASKS", "HeadKind", "TaskEntry", "kinds_of"]


@dataclass(frozen=True)
class TaskEntry:
    """A task, by the name of the command that serves it and of the `task` in a head's `config.yaml`.

    Attributes:
        title: what heads for it do, in one line.
        fitted_by: the command that fits heads for it.
        asks_all: whether a network is shown to all shipped heads that read it, and the one whose population it is
            nearest to answers; rows have a `distance` then.
        module: where its `TASK` is, a `nfn_cli.nn.tasks.Task`.
    """

    title: str
    fitted_by: str
    module: str
    asks_all: bool = False


TASKS: dict[str, TaskEntry] = {
    # Heads of one architecture know one population.
    "predict-accuracy": TaskEntry("predicts the test accuracy of a network", "nfn train", "nfn_cli.nn.tasks.accuracy"),
    # A picture of a digit and one of a ship are of one architecture.
    "classify-inr": TaskEntry(
        "classifies the picture that an implicit neural representation shows",
        "nfn train-inr",
        "nfn_cli.nn.tasks.classification",
        asks_all=True,
    ),
    "edit-inr": TaskEntry(
        "edits the picture that an implicit neural representation shows",
        "nfn train-editor",
        "nfn_cli.nn.tasks.editing",
    ),
}


@dataclass(frozen=True)
class HeadKind:
    """A kind of head, by its name in `config.yaml`.

    Attributes:
        task: a name in `TASKS`.
        title: for people, with its source.
        help: what it looks at, in one line.
        module: its file, where the class of its sizes and its `KIND` are, a `nfn_cli.nn.kinds.Kind`.
        runs: whether it runs the networks that it reads, as its configuration says.
        epochs: passes over the training networks that a fit takes, where nothing else is said.
    """

    task: str
    title: str
    help: str
    module: str
    runs: bool
    epochs: int


# Of two heads for the same, the one whose kind comes first here is asked.
HEAD_KINDS: dict[str, HeadKind] = {
    "monomial-probe": HeadKind(
        "predict-accuracy",
        "Monomial-Probe (learned probes and invariant weight statistics)",
        "runs the networks on learned inputs, and looks at statistics of their weights",
        "nfn_cli.nn.monomial_probe",
        runs=True,
        epochs=20,
    ),
    "monomial-nfn": HeadKind(
        "predict-accuracy",
        "Monomial-NFN (arXiv 2409.11697)",
        "equivariant layers on the weights alone",
        "nfn_cli.nn.monomial_nfn",
        runs=False,
        epochs=60,
    ),
    "any-classifier": HeadKind(
        "predict-accuracy",
        "Any-Classifier (statistics of every layer, and answers to probe pictures)",
        "statistics of every layer of any classifier, and its answers to pictures where it is known how it is run",
        "nfn_cli.nn.any_classifier.any_classifier",
        runs=False,
        epochs=60,
    ),
    "monomial-any": HeadKind(
        "predict-accuracy",
        "Monomial-NFN for any architecture (layers derived from labels and scale equations)",
        "equivariant layers on the weights alone, of networks of any architectures whose group nfn traces",
        "nfn_cli.nn.labelled_nfn.monomial_any",
        runs=False,
        epochs=60,
    ),
    "coordinate-probe": HeadKind(
        "classify-inr",
        "Coordinate-Probe (values at learned coordinates, and a convolutional network)",
        "a convolutional network on the values at learned coordinates",
        "nfn_cli.nn.inr.coordinate_probe",
        runs=True,
        epochs=10,
    ),
    "monomial-inr": HeadKind(
        "classify-inr",
        "Monomial-NFN (arXiv 2409.11697, the sign group) with phases",
        "equivariant layers on the weights alone",
        "nfn_cli.nn.sine.monomial_inr",
        runs=False,
        epochs=10,
    ),
    "function-editor": HeadKind(
        "edit-inr",
        "Function-Editor (a convolutional network on the picture, and Levenberg–Marquardt steps of the weights)",
        "edits the picture, then solves for the weights that show it",
        "nfn_cli.nn.inr.function_editor",
        runs=True,
        epochs=20,
    ),
    "monomial-editor": HeadKind(
        "edit-inr",
        "Monomial-Editor (equivariant layers, arXiv 2409.11697)",
        "one forward pass from weights to changes of the weights",
        "nfn_cli.nn.sine.monomial_editor",
        runs=False,
        epochs=20,
    ),
}


def kinds_of(task: str) -> dict[str, HeadKind]:
    """The kinds of heads for a task, the one to prefer first."""
    return {name: kind for name, kind in HEAD_KINDS.items() if kind.task == task}
