"""The loss of heads for networks of any architecture."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# What an error in accuracy counts beside the cross entropy. One member's τ on 2,268 held-out networks was 0.851 with
# the cross entropy alone, 0.857 with this; within a task 0.715 and 0.736.
_ABSOLUTE = 6.0


def any_loss(logits: Tensor, accuracies: Tensor, reduction: str) -> Tensor:
    """Cross entropy of predicted and true accuracy, and six times how far they are apart; of logits and accuracies
    [batch]. The cross entropy alone hardly tells 0.96 from 0.98, nor networks near chance."""
    truth = accuracies.float()
    losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    losses = losses + _ABSOLUTE * (logits.sigmoid() - truth).abs()
    return losses.mean() if reduction == "mean" else losses.sum()
