"""Notes beside a trace: which operators are linear in which neurons, for freedoms that are no monomial matrices.

The rules know nothing of it. What is not noted as linear is taken as anything but.

What is noted of each kind of operator is one file.
"""

from nfn_cli.architectures.tracing.watching.notes import LAYER_NORM, SOFTMAX, Bond, Labels
from nfn_cli.architectures.tracing.watching.watch import Watch

__all__ = ["LAYER_NORM", "SOFTMAX", "Bond", "Labels", "Watch"]
