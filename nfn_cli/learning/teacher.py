"""A head that learns from another one: some of its members, whose readouts are fitted to what all of them say.

All but the readouts stays as it is, and so does what the detector looks at: the detector is the teacher's.

Hinton, Vinyals and Dean 2015, *Distilling the knowledge in a neural network* (arXiv 1503.02531), with the mean of the
teacher's answer and the true one as the target.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.errors import HeadError
from nfn_cli.learning.accuracy_settings import AccuracySettings
from nfn_cli.learning.batches import predict_all
from nfn_cli.nn import kind_of, load_head
from nfn_cli.nn.choose import load_config
from nfn_cli.zoo import LabelledNetworks

# A tenth of the usual one: the weights are near where they should be. At a third, and with dropout, members of the
# small-CNN heads moved away from their teacher on runs that they had not seen. Learned inputs that were fitted as well
# predicted no better, and the detector would have had to learn anew from the few networks at hand.
LEARNING_RATE = 3e-4
_TASK = "predict-accuracy"


def taught_settings(settings: AccuracySettings, architecture: Architecture) -> AccuracySettings:
    """The settings of a head with a teacher: kind, sizes and forward pass are the teacher's, without dropout.

    Args:
        settings: with a teacher.
        architecture: of the networks.

    Raises:
        HeadError: the teacher does not read these networks, was fitted to ones of other widths, is of another kind than
            asked for, or has fewer members.
    """
    assert settings.teacher is not None
    name, config = settings.teacher, load_config(settings.teacher, task=_TASK)
    kind = kind_of(config.sizes)
    if config.accepted.is_any:
        raise HeadError(name, "a head for any classifier teaches none", "give one for networks of one architecture")
    if reason := config.accepted.mismatch(architecture):
        raise HeadError(name, f"does not read these networks ({reason})", "give a head that does")
    if (widths := config.details.widths) not in (None, architecture.hidden_widths):
        known = ", ".join(map(str, widths or ()))
        raise HeadError(name, f"was fitted to hidden widths {known}, and these are others", "fit a head without it")
    if settings.kind not in (None, kind):
        raise HeadError(name, f"is a {kind} head, not {settings.kind}", f"leave out --kind, or give {kind}")
    if settings.members > config.members:
        cause = f"has {config.members} members, and {settings.members} are to start as they are"
        raise HeadError(name, cause, f"give --members {config.members}, or fewer")
    fit = replace(settings.fit, learning_rate=LEARNING_RATE)
    forward_pass = config.details.forward_pass
    sizes = replace(config.sizes, dropout=0.0)
    return replace(settings, kind=kind, sizes=sizes, forward_pass=forward_pass, fit=fit)


def taught(model: Any, train: LabelledNetworks, teacher: str, device: str) -> Tensor:
    """Start members as those of a teacher, and fix all but their readouts.

    Args:
        model: an `nfn_cli.nn.ensemble.Ensemble` with no more members than the teacher's; it gets its detector as well.

    Returns:
        What to fit them to: the mean of the true accuracies of the networks and of what the teacher says, [networks].

    Raises:
        DataError: the teacher gives no finite prediction for a network.
    """
    head = load_head(teacher, device, task=_TASK)
    for own, other in zip(model.members, head.model.members, strict=False):
        own.load_state_dict(other.state_dict())
        own.requires_grad_(False)
        own.readout.requires_grad_(True)
    model.ood_detector.load_state_dict(head.model.ood_detector.state_dict())
    said = predict_all(head, train.point, train.files, "accuracy").accuracy
    return torch.stack([train.targets, said.to(train.targets)]).mean(0)


def digest_of_head(name: str) -> str:
    """A number that follows from a head's tensors."""
    digest = hashlib.sha256()
    for tensor in load_head(name, task=_TASK).model.state_dict().values():
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
