"""Signatures of traced networks are constant along their orbits, and tell networks apart."""

from __future__ import annotations

from types import ModuleType

import pytest
import reference_networks
import torch
from family_cases import CASES, Case
from moved_families import traced
from networks_of_tests import loaded
from torch import Tensor, nn

from nfn_cli.architectures.families import ReferenceModule
from nfn_cli.symmetry.kinship.slice_norms import slice_norms
from nfn_cli.symmetry.labelled import act, bounded, sample

groups = loaded("families/test_groups.py")
_FAST = ("LlamaForCausalLM", "GPT2LMHeadModel")


@pytest.mark.parametrize("case", groups._slow(CASES, _FAST))
def test_transformers(transformers: ModuleType, case: Case) -> None:
    theirs, found = groups._transformer(transformers, case)
    check(found, theirs)


@pytest.mark.parametrize("name", groups._slow(groups.test_repositories.NETWORKS, ("option A",)))
def test_repositories(name: str) -> None:
    real = groups.test_repositories.NETWORKS[name][0]()
    real = real.to_empty(device="cpu") if any(tensor.is_meta for tensor in real.parameters()) else real
    real = reference_networks.randomised(real)
    check(reference_networks.recognise(real, None), real)


def check(found: ReferenceModule, real: nn.Module) -> None:
    architecture = traced(found)

    def numbers(weights: dict[str, Tensor]) -> Tensor:
        norms = slice_norms(architecture, weights, torch.float64)
        return torch.tensor([*norms.values, norms.size, norms.tails], dtype=torch.float64)

    state = {name: tensor.detach() for name, tensor in real.double().state_dict().items()}
    own = numbers(state)
    assert bool(own.isfinite().all())
    for seed in range(3):
        drawn = sample(architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0))
        other = {**state, **act(bounded(drawn, architecture, state), architecture, state)}
        assert (numbers(other) - own).abs().max() < 1e-8
    generator = torch.Generator().manual_seed(7)
    near = {
        name: tensor * (1 + 0.01 * torch.randn(tensor.shape, generator=generator)) if tensor.ndim > 1 else tensor
        for name, tensor in state.items()
        if tensor.is_floating_point()
    }
    assert 1e-5 < (numbers({**state, **near}) - own).abs().max() < 0.5
