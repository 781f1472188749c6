"""Read a trained network's weights like an instrument: symmetries, normal forms and invariant heads.

Many checkpoints through a head, from Python; importing the package imports no torch, the first use of a name does:

    from nfn_cli import load_head, score

    for row in score(["zoo/"], head="small-cnn-relu"):
        print(row.path, row.accuracy, row.low, row.high, row.error)

`score` and `classify` yield a `ScoreRow` or a `ClassRow` for each network; `load_head` gives the head itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nfn_cli.nn import load_head
    from nfn_cli.nn.choose import load_classifier
    from nfn_cli.scoring import ClassRow, ScoreRow, classify, score

__version__ = "0.1.0"

_HOMES = {
    "ClassRow": "nfn_cli.scoring",
    "ScoreRow": "nfn_cli.scoring",
    "classify": "nfn_cli.scoring",
    "load_classifier": "nfn_cli.nn.choose",
    "load_head": "nfn_cli.nn",
    "score": "nfn_cli.scoring",
}

__all__ = ["ClassRow", "ScoreRow", "__version__", "classify", "load_classifier", "load_head", "score"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
