"""Fit Monomial-NFN for any architecture: its members one after the other, and how far what it knows reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from nfn_cli.learning.any_classifier.loss import any_loss
from nfn_cli.learning.fitting import fit_member
from nfn_cli.learning.member_fit import FitSettings
from nfn_cli.nn.labelled_nfn.graph import Batcher
from nfn_cli.nn.labelled_nfn.member import LabelledMember
from nfn_cli.nn.labelled_nfn.monomial_any import MonomialAny, MonomialAnySizes, sizes_for
from nfn_cli.nn.labelled_nfn.network_fields import LabelledNetworks

BATCH = 16


class _OnNetworks(nn.Module):
    """A member as a `Member` whose inputs are positions among networks."""

    def __init__(self, member: LabelledMember, networks: LabelledNetworks, batch: Batcher) -> None:
        super().__init__()
        self.member, self._networks, self._batch = member, networks, batch

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """See `Member`."""
        self.member.fit_normalisation(self._batch(self._networks.select(inputs[0]).networks))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [positions]."""
        found: Tensor = self.member(self._batch(self._networks.select(inputs[0]).networks))
        return found


def fit_monomial_any(
    networks: LabelledNetworks,
    targets: Tensor,
    runs: Sequence[str],
    sizes: MonomialAnySizes,
    settings: FitSettings,
    *,
    device: str = "cpu",
    on_epoch: Callable[[float], None] = lambda loss: None,
) -> MonomialAny:
    """Fit a head to networks.

    Args:
        networks: training networks, on the CPU.
        targets: their accuracies in [0, 1], [networks].
        runs: the training run of each.
        sizes: of its members; kinds and ports that these have not, and the networks do, are added.
        settings: the budget of each member.
        device: where to compute.
        on_epoch: called with the mean loss after every epoch of every member.

    Returns:
        The head's module on the CPU, in evaluation mode.
    """
    torch.manual_seed(settings.seed)
    if not sizes.vocabulary:
        sizes = sizes_for(sizes, [own.shape for own in networks.networks])
    model = MonomialAny(sizes).to(device)
    own, truth = networks.to(device), targets.to(device)
    budget = replace(settings, batch_size=settings.batch_size or BATCH)
    positions = torch.arange(len(networks), device=device)
    for number, member in enumerate(model.members):
        assert isinstance(member, LabelledMember)
        shown = _OnNetworks(member, own, model.batch)
        fit_member(shown, [positions], truth, budget, settings.seed * 1_000 + number, on_epoch, loss=any_loss)
    with torch.no_grad():
        graphs = [model.graph(own.select(range(at, min(at + BATCH, len(own))))) for at in range(0, len(own), BATCH)]
        model.reach.fit(torch.cat([model.summary(graph) for graph in graphs]), runs)
    return model.cpu().eval()
