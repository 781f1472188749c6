"""Read a trained network's weights like an instrument: symmetries, normal forms and invariant heads.

Eight functions take paths, state dicts (tensors by name) and `torch.nn.Module`s. Importing the package imports no
torch; the first use of a name does.

>>> import torch
>>> from torch import nn
>>> from nfn_cli import canonicalize, inspect, score, verify
>>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
>>> inspect(model).symmetries
('0: 8 neurons, G_8^{±1}',)
>>> bool(verify(model, canonicalize(model)))
True

`inspect` describes a network and its symmetries, `canonicalize` gives its normal form, `verify` says whether two
networks are the same function up to the group, `compare` what else they have to do with each other, `align` brings one
near to another, and `families` sorts many into copies, relatives and strangers. `score` and `classify` put networks
through a head, and yield a `ScoreRow` or a `ClassRow` for each:

    for row in score(["zoo/"], head="small-cnn-relu"):
        print(row.path, row.accuracy, row.low, row.high, row.error)

    [row] = score(model)

`load_head` and `load_classifier` give a head itself; `NetworkWeights` is a point in weight space, for the layers of
`nfn_cli.nn`. Whatever cannot be done is raised as an `NfnError` (subject, cause, remedy), or is the `error` of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nfn_cli.architectures import NetworkWeights
    from nfn_cli.errors import NfnError
    from nfn_cli.nn import load_head
    from nfn_cli.nn.choose import load_classifier
    from nfn_cli.scoring import ClassRow, ScoreRow, classify, score
    from nfn_cli.symmetry.align_from_python import align
    from nfn_cli.symmetry.compare_from_python import Kinship, compare
    from nfn_cli.symmetry.families_from_python import families
    from nfn_cli.symmetry.from_python import Description, Verdict, canonicalize, inspect, verify

__version__ = "0.1.0"

_HOMES = {
    "ClassRow": "nfn_cli.scoring",
    "Description": "nfn_cli.symmetry.from_python",
    "Kinship": "nfn_cli.symmetry.compare_from_python",
    "NetworkWeights": "nfn_cli.architectures",
    "NfnError": "nfn_cli.errors",
    "ScoreRow": "nfn_cli.scoring",
    "Verdict": "nfn_cli.symmetry.from_python",
    "align": "nfn_cli.symmetry.align_from_python",
    "canonicalize": "nfn_cli.symmetry.from_python",
    "classify": "nfn_cli.scoring",
    "compare": "nfn_cli.symmetry.compare_from_python",
    "families": "nfn_cli.symmetry.families_from_python",
    "inspect": "nfn_cli.symmetry.from_python",
    "load_classifier": "nfn_cli.nn.choose",
    "load_head": "nfn_cli.nn",
    "score": "nfn_cli.scoring",
    "verify": "nfn_cli.symmetry.from_python",
}

__all__ = [
    "ClassRow",
    "Description",
    "Kinship",
    "NetworkWeights",
    "NfnError",
    "ScoreRow",
    "Verdict",
    "__version__",
    "align",
    "canonicalize",
    "classify",
    "compare",
    "families",
    "inspect",
    "load_classifier",
    "load_head",
    "score",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
