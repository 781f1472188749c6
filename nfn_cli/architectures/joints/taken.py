"""Other tensors of a file that may be indexed by the neurons between two layers."""

from __future__ import annotations

from collections.abc import Sequence

from nfn_cli.architectures.beside import Taken
from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.scopes import Scopes


def taken_joints(layers: Sequence[Layer], taken: Sequence[Taken]) -> list[str | None]:
    """Of each joint why another tensor may be indexed by its neurons; None where there is none.

    What is inside of an `nn.Sequential` is seen by nothing outside of it.
    """
    scopes = Scopes([layer.name for layer in layers])
    found: list[str | None] = []
    for joint, layer in enumerate(layers[:-1]):
        container = layer.name.rpartition(".")[0]
        own = [other for other in taken if other.width == layer.out_features]
        if scopes.sealed(joint) and container:
            own = [other for other in own if f"{other.module}.".startswith(f"{container}.")]
        found.append(own[0].reason if own else None)
    return found
