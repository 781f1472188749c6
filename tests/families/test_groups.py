"""Each family's group, traced from the reference module without weights, leaves the real class's function alone."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import reference_networks
import torch
from family_cases import CASES, Case
from float64_library import InFloat64, randomised, tensors_of
from moved_families import Moved, moved, traced
from networks_of_tests import loaded
from torch import Tensor, nn

from nfn_cli.architectures.families import ReferenceModule, recognise

transformers_tests = loaded("families/test_against_transformers.py")
_built, _call = transformers_tests._built, transformers_tests._call
test_actor_critic = loaded("families/test_actor_critic.py")
test_hugging_face = loaded("families/test_hugging_face.py")
test_recurrent = loaded("families/test_recurrent.py")
test_repositories = loaded("families/test_repositories.py")
test_torchvision = loaded("families/test_torchvision.py")
timm_tests = loaded("families/test_against_timm.py")
_FAST = (
    "LlamaForCausalLM",
    "PhiForCausalLM normed, tied",
    "MixtralForCausalLM",
    "GPT2LMHeadModel",
    "BertForPreTraining",
    "T5EncoderModel",
    "ViTForImageClassification",
)


def _slow(names: Any, fast: tuple[str, ...]) -> list[Any]:
    return [pytest.param(name, id=str(name), marks=() if str(name) in fast else pytest.mark.slow) for name in names]


def _transformer(library: ModuleType, case: Case) -> tuple[nn.Module, ReferenceModule]:
    theirs, config = _built(library, case)
    theirs = randomised(theirs)
    if case.about == "version 1.1":  # as a file with a head of its own is loaded
        theirs.lm_head.weight = nn.Parameter(theirs.lm_head.weight.detach() * 0.7)
    return theirs, recognise({name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}, config)


@pytest.mark.parametrize("case", _slow(CASES, _FAST))
def test_transformers(transformers: ModuleType, case: Case) -> None:
    with InFloat64():
        theirs, found = _transformer(transformers, case)
        result = moved(found, theirs, lambda module: tensors_of(_call(module, found, names_decoder=True)))
    assert result.deviation <= 1e-12
    assert {name for name in result.still if not _is_seen(name)} == set()
    if case.name.endswith("Model"):  # its outputs show the stream, so that what writes there keeps its order
        return
    assert {name for name in result.still if not name.endswith("bias")} == set()


def _is_seen(name: str) -> bool:
    """Whether a tensor may stay: the stream's, of a network whose outputs show it, and biases of the outputs."""
    parts = ("embed", "wte", "wpe", "token", "LayerNorm", "layer_norm", "layernorm", "ln_f", "pooler.dense")
    return name.endswith("bias") or any(part in name for part in parts) or name.endswith("norm.weight")


@pytest.mark.parametrize("about", ["LlamaForCausalLM", "GPT2LMHeadModel"])
def test_transformers_in_float32(transformers: ModuleType, about: str) -> None:
    case = next(case for case in CASES if str(case) == about)
    theirs, found = _transformer(transformers, case)
    result = moved(found, theirs.double(), lambda module: tensors_of(_call(module, found)), also_float32=True)
    assert result.in_float32 is not None and result.in_float32 <= 1e-5


@pytest.mark.parametrize(
    ("name", "logs", "signs"),
    [
        # In each of 2 layers: 2 · 2 rotary pairs of keys, 2 · 4 values, 20 neurons, two gains of 16 channels; then the
        # last gain. Beside them a sign for each channel of the stream.
        ("LlamaForCausalLM", 2 * (2 * 2 + 2 * 4 + 20 + 2 * 16) + 16, 2 * (2 * 2 + 2 * 4 + 20 + 2 * 16) + 16 + 16),
        # In each of 2 layers: 16 of queries and keys, 16 of values, two gains of 16 channels; the last gain is the tied
        # table's. One sign for the stream.
        ("GPT2LMHeadModel", 2 * (16 + 16 + 2 * 16), 2 * (16 + 16 + 2 * 16) + 1),
        ("BertForMaskedLM", 80, 85),
        ("ViTForImageClassification", 2 * (16 + 16 + 2 * 16) + 16, 2 * (16 + 16 + 2 * 16) + 16 + 1),
    ],
)
def test_its_numbers(transformers: ModuleType, name: str, logs: int, signs: int) -> None:
    theirs, config = _built(transformers, next(case for case in CASES if case.name == name and not case.about))
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    architecture = traced(recognise(shapes, config))
    assert (architecture.logs.free, architecture.signs.free) == (logs, signs)


def test_experts_are_permuted_with_their_neurons(transformers: ModuleType) -> None:
    theirs, config = _built(transformers, next(case for case in CASES if case.name == "MixtralForCausalLM"))
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    blocks = traced(recognise(shapes, config)).blocks
    inner = [block for block in blocks if block.parent is not None and block.n == 20]
    assert len(inner) == 2
    assert all(blocks[block.parent or 0].n == 5 and blocks[block.parent or 0].parent is None for block in inner)


# --- convolutions, and what is written anew -------------------------------------------------------------------------


def _moved(real: nn.Module, config: dict[str, Any] | None = None, **more: bool) -> Moved:
    if any(tensor.is_meta for tensor in real.parameters()):
        real = real.to_empty(device="cpu")
    real = reference_networks.randomised(real)
    found = reference_networks.recognise(real, config)
    args, kwargs = found.inputs(2, "cpu")

    def answer(module: nn.Module) -> list[Tensor]:
        kind = next(module.parameters()).dtype
        own = tuple(tensor.to(kind) if tensor.is_floating_point() else tensor for tensor in args)
        return tensors_of(module(*own, **kwargs))

    return moved(found, real, answer, **more)


@pytest.mark.parametrize("name", _slow(test_torchvision.NETWORKS, ("ResNet", "ConvNeXt")))
def test_torchvision_s(name: str) -> None:
    with torch.device("meta"):
        network = test_torchvision.NETWORKS[name][0]()
    result = _moved(network)
    assert result.deviation <= 1e-12
    assert {name for name in result.still if not name.endswith("bias")} == set()


def _features(name: str) -> nn.Module:
    return {
        "LSTM": lambda: test_recurrent.Tokens("lstm", layers=2, both=True),
        "GRU": lambda: test_recurrent.Tokens("gru", layers=2),
        "GRU of features": test_recurrent.Features,
        "actor and critic apart": test_actor_critic.Policy,
        "actor and critic on one trunk": lambda: test_actor_critic.Policy(shared=True),
        "heads on one trunk": lambda: test_actor_critic.OnOneTrunk(nn.Linear(6, 3)),
    }[name]()


@pytest.mark.parametrize(
    "name",
    ["LSTM", "GRU", "GRU of features", "actor and critic apart", "actor and critic on one trunk", "heads on one trunk"],
)
def test_recurrent_and_actor_critic(name: str) -> None:
    result = _moved(_features(name))
    assert result.deviation <= 1e-12
    assert {name for name in result.still if not name.endswith(("bias", "log_std"))} == set()


_REPOSITORIES = ("option A",)


@pytest.mark.parametrize("name", _slow(test_repositories.NETWORKS, _REPOSITORIES))
def test_repositories_own(name: str) -> None:
    result = _moved(test_repositories.NETWORKS[name][0]())
    assert result.deviation <= 1e-12
    assert {name for name in result.still if not name.endswith("bias")} == set()


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_both_readings_of_a_shortcut(raw: bool, biased: bool) -> None:
    """The group of a module with two outputs, one a reading, leaves the real network alone, whichever that is."""

    def block(*sizes: int) -> nn.Module:
        return test_repositories.Pre(*sizes, raw, False, biased)

    result = _moved(test_repositories.Residual(block, (8, 12), stem=4, bias=biased))
    assert result.deviation <= 1e-12


@pytest.mark.parametrize("name", _slow([*test_hugging_face.RESNETS, "ConvNeXt"], ("basic",)))
def test_hugging_face_s_convolutions(transformers: ModuleType, name: str) -> None:
    made = test_hugging_face.convnext() if name == "ConvNeXt" else None
    network, config = made or test_hugging_face.resnet(**test_hugging_face.RESNETS[name])
    result = _moved(network, config)
    assert result.deviation <= 1e-12
    assert {name for name in result.still if not name.endswith("bias")} == set()
