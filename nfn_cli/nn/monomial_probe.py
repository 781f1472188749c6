"""Monomial-Probe: an invariant head that runs the network on learned probes and looks at the statistics of its weights.

Both are exactly invariant to scalings, signs and permutations, and both know what the linear equivariant layers of a
Monomial-NFN lose: a probe's answer follows from how the entries of all layers play together, and the statistics of the
`unit` form keep how the entries of a row compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import hardshrink

from nfn_cli.architectures import Architecture, NetworkWeights, population_forward
from nfn_cli.errors import HeadError
from nfn_cli.kept_tensor import KeptTensor
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.in_parts import parts_of
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.probes import Probes
from nfn_cli.nn.readout import readout
from nfn_cli.nn.sizes import require_sizes
from nfn_cli.nn.tasks.accuracy import AccuracyDetails
from nfn_cli.nn.weight_statistics import statistics_count, weight_statistics
from nfn_cli.precision import fastest_precision
from nfn_cli.symmetry import unit_scaled

# Networks at once without gradients. What is made of more in between is so large that the kernel takes it back and
# clears it at each call.
_TOGETHER = 64
_LARGEST_FEATURE = 5.0
_LARGEST_OUTPUT = 1e4
_LARGEST_WEIGHT = 1e12
# Weights that decay leaves in trained networks fall below the normal range of float32, where a processor takes up to
# thirty times as long for a product. Next to others of their neuron, which have a joint norm of 1, they are nothing.
_SMALLEST_WEIGHT = 1e-30
_TINY = 1e-8
_ROUNDED = 0.01


@dataclass(frozen=True)
class MonomialProbeSizes:
    """Sizes that no input fixes: learned probes, hidden units of the MLP, and its dropout."""

    probes: int = 32
    hidden: int = 80
    dropout: float = 0.2

    def __post_init__(self) -> None:
        require_sizes(self, probes=1024, hidden=4096)


def read_unit_form(point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
    """The statistics of the `unit` form, and its tensors, float32 [batch, ...] each.

    Args:
        point: tensors [batch, *shape] on the CPU.
    """
    names = [spec.name for spec in point.architecture.tensors]
    parts = [
        _unit_form(NetworkWeights.of_any_widths(point.architecture, dict(zip(names, part, strict=True))))
        for part in parts_of([point.tensors[name] for name in names], _TOGETHER)
    ]
    return [torch.cat(values).to(device) for values in zip(*parts, strict=True)]


def _unit_form(point: NetworkWeights) -> list[Tensor]:
    unit = unit_scaled(point)
    values = [weight_statistics(unit), *(unit.tensors[spec.name] for spec in point.architecture.tensors)]
    # The last layer takes all scales, which may leave the range of float32; such answers are cut off anyway.
    cut = (value.clamp(-_LARGEST_WEIGHT, _LARGEST_WEIGHT).float() for value in values)
    return [hardshrink(value, _SMALLEST_WEIGHT) for value in cut]


class MonomialProbe(nn.Module):
    """Maps a batch of networks to one logit each.

    Args:
        architecture: of a network that it reads; hidden widths are free.
        sizes: everything else.
        forward_pass: how the networks are run.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, architecture: Architecture, sizes: MonomialProbeSizes, forward_pass: ForwardPass) -> None:
        super().__init__()
        self.architecture, self.forward_pass = architecture, forward_pass
        self.probes = Probes(architecture.first, forward_pass.space, sizes.probes)
        outputs = architecture.outputs
        self.summary_features = 2 * outputs + statistics_count(architecture) + _SUMMARIES
        count = self.summary_features + sizes.probes * (2 * outputs + 1)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        # The summaries by class come first. The detector looks at them, but a prediction is worse for them.
        self._unread = 2 * outputs
        self.readout = readout(count - self._unread, sizes.hidden, 1, sizes.dropout, nn.GELU)

    def encode(self, point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
        """What the forward pass takes, see `read_unit_form`."""
        return read_unit_form(point, device)

    @torch.no_grad()
    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Standardise every feature by the training population, as the first probes see it."""
        self.mean.zero_()
        self.scale.fill_(1.0)
        rows = _features([self], inputs)[0].cpu().double()  # not every device has float64
        spread = rows.std(0, correction=0)
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(torch.where(spread > _TINY, 1 / spread, 1.0))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [batch] of what `encode` gives."""
        return self.logits_and_summary(inputs)[0]

    def logits_and_summary(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch], and what the detector looks at: summaries and statistics [batch, summary_features]."""
        logits, summary = self.of_all([self], inputs)
        return logits[0], summary

    def of_all(self, members: Sequence[MonomialProbe], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [members, batch] of members of one ensemble, which run the networks together, and this one's summary.

        Args:
            members: the first one is this one.
        """
        if torch.is_grad_enabled():
            return self._of_all(members, inputs)
        logits, summaries = zip(*(self._of_all(members, part) for part in parts_of(inputs, _TOGETHER)), strict=True)
        return torch.cat(logits, dim=1), torch.cat(summaries)

    def _of_all(self, members: Sequence[MonomialProbe], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        features = _features(members, inputs)
        near = features[:, :, self._unread :].clamp(-_LARGEST_FEATURE, _LARGEST_FEATURE)
        logits = [member.readout(own)[:, 0] for member, own in zip(members, near, strict=True)]
        return torch.stack(logits), features[0, :, : self.summary_features]

    def _answers(self, tensors: Sequence[Tensor], probes: Tensor) -> Tensor:
        """Outputs [batch, probes, outputs] of the networks on the probes."""
        names = (spec.name for spec in self.architecture.tensors)
        point = NetworkWeights.of_any_widths(self.architecture, dict(zip(names, tensors, strict=True)))
        device = probes.device.type
        # Half as many digits are enough to learn by, and several times as fast where the processor has them.
        short = self.training and device in ("cpu", "cuda") and fastest_precision(device) == "bfloat16"
        with torch.autocast(device, torch.bfloat16) if short else nullcontext():
            found = population_forward(
                point, probes, stride=self.forward_pass.stride, padding=self.forward_pass.padding
            )
        if found.ndim > 3:  # a last convolution answers at every position
            found = found.flatten(3).mean(3)
        return found.float().nan_to_num(0.0).clamp(-_LARGEST_OUTPUT, _LARGEST_OUTPUT)


def _features(members: Sequence[MonomialProbe], inputs: Sequence[Tensor]) -> Tensor:
    """Summaries by class, statistics, other summaries, and the answers, each member's standardised, [members, batch,
    features]."""
    statistics, *tensors = inputs
    probes = _probes(members)
    found = members[0]._answers(tensors, probes).unflatten(1, (len(members), -1)).transpose(0, 1)
    by_class, summaries, described = (own.unflatten(0, found.shape[:2]) for own in _described(found.flatten(0, 1)))
    features = torch.cat([by_class, statistics.expand(len(members), -1, -1), summaries, described], dim=2)
    mean = torch.stack([member.mean for member in members])
    scale = torch.stack([member.scale for member in members])
    return (features - mean[:, None]) * scale[:, None]


def _probes(members: Sequence[MonomialProbe]) -> Tensor:
    """The probes of all members, one member's behind the other's; made once for many calls."""
    kept = _KEPT.setdefault(members[0], KeptTensor())
    sources = [tensor for member in members for tensor in (member.probes.series, member.probes.amplitudes)]
    return kept.of(sources, lambda: torch.cat([member.probes() for member in members]))


# Beside the modules, since copies and files of them have none of it.
_KEPT: WeakKeyDictionary[MonomialProbe, KeptTensor] = WeakKeyDictionary()
_SUMMARIES = 5


def _described(answers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two summaries of every class; five of all; and every answer as class shares, as what is special, as an entropy.

    Args:
        answers: [batch, probes, outputs], taken for logits where there are several.

    Returns:
        Of each network [batch, 2 × outputs], [batch, 5] and [batch, probes × (2 × outputs + 1)].
    """
    several = answers.shape[2] > 1
    log_shares = answers.log_softmax(2) if several else torch.nn.functional.logsigmoid(answers)
    shares = log_shares.exp()
    entropy = -(shares * log_shares).sum(2)  # [batch, probes]
    centred = answers - answers.mean(1, keepdim=True)
    spread = (centred.square().mean((1, 2)) + _TINY).sqrt()
    mean_shares = shares.mean(1)
    summaries = [
        spread.log(),
        entropy.mean(1),
        (entropy.var(1, correction=0) + _TINY).sqrt(),
        shares.amax(2).mean(1),
        -(mean_shares * mean_shares.clamp_min(_TINY).log()).sum(1),
    ]
    # Of a network that answers the same to every probe, only rounding is left: it must not be blown up.
    sizes = spread + _ROUNDED * (answers.square().mean((1, 2)) + _TINY).sqrt()
    special = centred / sizes[:, None, None]
    by_class = torch.cat([mean_shares, (shares.var(1, correction=0) + _TINY).sqrt()], dim=1)
    described = torch.cat([shares.flatten(1), special.flatten(1), entropy], dim=1)
    return by_class, torch.stack(summaries, dim=1), described


def _member(architecture: Architecture, sizes: MonomialProbeSizes, details: AccuracyDetails) -> MonomialProbe:
    reason = details.forward_pass.mismatch(architecture)
    if reason:
        raise HeadError(
            architecture.describe(), reason, "tell how the networks are run by --input-size, --stride and --padding"
        )
    return MonomialProbe(architecture, sizes, details.forward_pass)


KIND = Kind(MonomialProbeSizes, _member)
