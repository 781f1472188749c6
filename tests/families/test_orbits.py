"""Each family's normal form is one for the whole orbit, and two of its networks are compared along it, in float32."""

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
from nfn_cli.symmetry.labelled import act, bounded, normal_form, sample
from nfn_cli.symmetry.labelled.alignment import align

groups = loaded("families/test_groups.py")
_FAST = ("LlamaForCausalLM", "GPT2LMHeadModel", "ViTForImageClassification")


@pytest.mark.parametrize("case", groups._slow(CASES, _FAST))
def test_transformers(transformers: ModuleType, case: Case) -> None:
    theirs, found = groups._transformer(transformers, case)
    check_orbit(found, theirs)


@pytest.mark.parametrize("name", groups._slow(groups.test_torchvision.NETWORKS, ("ConvNeXt",)))
def test_torchvision_s(name: str) -> None:
    with torch.device("meta"):
        network = groups.test_torchvision.NETWORKS[name][0]()
    real = reference_networks.randomised(network.to_empty(device="cpu"))
    check_orbit(reference_networks.recognise(real, None), real)


RECURRENT = ["LSTM", "GRU", "GRU of features", "actor and critic apart", "heads on one trunk"]


@pytest.mark.parametrize("name", groups._slow(RECURRENT, ("LSTM",)))
def test_recurrent_and_actor_critic(name: str) -> None:
    real = reference_networks.randomised(groups._features(name))
    check_orbit(reference_networks.recognise(real, None), real)


@pytest.mark.parametrize("name", groups._slow(groups.test_repositories.NETWORKS, ()))
def test_repositories_own(name: str) -> None:
    real = groups.test_repositories.NETWORKS[name][0]()
    real = real.to_empty(device="cpu") if any(tensor.is_meta for tensor in real.parameters()) else real
    real = reference_networks.randomised(real)
    check_orbit(reference_networks.recognise(real, None), real)


def check_orbit(found: ReferenceModule, real: nn.Module) -> None:
    architecture = traced(found)
    state = {
        name: tensor.detach().float() if tensor.is_floating_point() else tensor
        for name, tensor in real.state_dict().items()
    }

    def normal(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        form = normal_form(architecture, weights)
        assert not form.unsettled
        return act(form.element, architecture, weights)

    form = normal(state)
    assert apart(form, normal(form)) < 1e-6
    generator = torch.Generator().manual_seed(3)
    drawn = bounded(sample(architecture, generator, scale_range=(0.3, 3.0)), architecture, state)
    other = act(drawn, architecture, state)
    if normal_form(architecture, other).unique:
        assert apart(form, normal(other)) < 1e-6
    assert align(architecture, state, other).same_orbit
    name = max((own for own in other if other[own].is_floating_point()), key=lambda own: other[own].numel())
    changed = {**other, name: other[name].clone()}
    changed[name].view(-1)[changed[name].abs().argmax()] *= 1.01
    assert not align(architecture, state, changed).same_orbit


def apart(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The largest difference, relative to the largest number of each tensor."""
    return max(
        ((ours[name] - theirs[name]).abs().max() / ours[name].abs().max().clamp_min(1e-30)).item()
        for name in ours
        if ours[name].is_floating_point() and ours[name].numel()
    )
