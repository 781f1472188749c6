"""Any classifier as a head takes it: by which road it is read, what is assumed, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli.architectures import Stated
from nfn_cli.architectures.read_classifier import ONE_CHAIN, ReadClassifier, read_classifier
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.errors import ArchitectureError, UsageError

MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.more = nn.Conv2d(6, 6, 3, padding=1)
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        x = x + torch.relu(self.more(x))
        return self.fc(x.mean((2, 3)))

class Soft(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)

    def forward(self, x):
        return torch.relu(self.bn(self.conv(x))).mean((2, 3))

class Bare(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 40, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

class Pair(Net):
    def forward(self, x):
        return super().forward(x), super().forward(x) + 1

class Segmenter(Net):
    def forward(self, x):
        return self.more(self.bn(self.conv(x)))

class Flat(nn.Module):
    def __init__(self, inputs=64):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(inputs, 9), nn.Linear(9, 5)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))

def given(): return Net(), torch.zeros(1, 3, 12, 12)
def table(): return Flat(13)
def words(): return nn.Sequential(nn.Embedding(20, 4), nn.Linear(4, 5))
def one(): return Net(1)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(MODULE, encoding="utf-8")
    return tmp_path / "net.py"


def made(source: Path, factory: str) -> nn.Module:
    space: dict[str, object] = {}
    exec(MODULE, space)
    torch.manual_seed(3)
    found = space[factory]()  # type: ignore[operator]
    own: nn.Module = found[0] if isinstance(found, tuple) else found
    for part in own.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    return own.eval()


def by_model(
    source: Path, factory: str, shape: tuple[int, ...] | None = None, saved: str | None = None
) -> tuple[nn.Module, ReadClassifier]:
    own, path = made(source, saved or factory), source.with_name("net.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in own.state_dict().items()}, path)
    return own, read_classifier(path, Stated(), NetworkTracer(f"{source}:{factory}", shape))


def saved(folder: Path, tensors: dict[str, Tensor], config: dict[str, object] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder / "model.safetensors"


def chain(*sizes: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for place, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        found[f"fc{place}.weight"] = torch.randn(outputs, inputs, generator=generator)
        found[f"fc{place}.bias"] = torch.randn(outputs, generator=generator)
    return found


def test_a_users_module_runs_with_the_weights_of_the_file(source: Path) -> None:
    own, found = by_model(source, "Net")
    pictures = torch.randn(5, *(found.picture or ()))
    assert found.picture == (3, 32, 32) and found.module is not None and found.chain is None
    assert torch.equal(found.module(pictures), own(pictures))
    assert found.assumed == ("pictures of 3x32x32",) and found.reading == f"the module of {source}:Net"
    assert list(found.tensors) == [name for name in own.state_dict() if "batches" not in name]


def test_example_inputs_and_shapes_state_the_picture(source: Path) -> None:
    assert by_model(source, "given")[1].picture == (3, 12, 12)
    found = by_model(source, "Net", (3, 20, 20))[1]
    assert found.picture == (3, 20, 20) and found.assumed == ()


def test_a_module_of_vectors_takes_flattened_pictures(source: Path) -> None:
    own, found = by_model(source, "Flat")
    pictures = torch.randn(3, 1, 8, 8)
    assert found.picture == (1, 8, 8) and found.assumed == ("pictures of 1x8x8",) and found.module is not None
    assert torch.equal(found.module(pictures), own(pictures.flatten(1)))
    # Names stay those of the module, under which its layers are found.
    assert [name for name, _ in found.module.named_modules()] == ["", "fc1", "fc2"]


def test_probabilities_become_logits(source: Path) -> None:
    own, found = by_model(source, "Soft")
    pictures = torch.randn(3, 3, 32, 32)
    assert found.module is not None
    assert torch.allclose(found.module(pictures), own(pictures).log(), atol=1e-5)


@pytest.mark.parametrize(
    ("factory", "shape", "cause"),
    [
        ("Encoder", None, "no layer gives its 6 outputs as logits; it may be an encoder without one"),
        ("Bare", None, "its outputs are never negative, as those of an encoder without a classifying layer"),
        ("Pair", None, "it gives 2 outputs that may be logits; return one of them"),
        ("Segmenter", None, "it gives batchx6x32x32, and no logits of classes"),
        ("table", None, "it takes inputs of 13, which are no pictures"),
        ("words", None, "it takes whole numbers, as a language model does"),
        ("one", None, "it has 1 output, not 2 to 1,000 classes"),
        ("Net", (1, 9, 9), "does not run on pictures"),
        ("given", (3, 9, 9), "gives example inputs of its own"),
    ],
)
def test_modules_that_are_no_classifiers_of_pictures(
    source: Path, factory: str, shape: tuple[int, ...] | None, cause: str
) -> None:
    with pytest.raises(UsageError) as error:
        by_model(source, factory, shape)
    assert cause in str(error.value) and "\n" not in str(error.value)


def test_a_module_of_another_file_is_refused(source: Path) -> None:
    with pytest.raises(ArchitectureError, match="Flat is another network"):
        by_model(source, "Flat", saved="Net")


def test_a_recorded_network_is_run(tmp_path: Path) -> None:
    steps = [
        {"op": "conv", "name": "a", "ins": 1, "outs": 4, "kernel": 3, "stride": 1, "padding": 1, "bias": True},
        {"op": "relu"},
        {"op": "flatten"},
        {"op": "linear", "name": "z", "ins": 144, "outs": 3, "bias": True},
    ]
    torch.manual_seed(0)
    layers = {"a": nn.Conv2d(1, 4, 3, padding=1), "z": nn.Linear(144, 3)}
    tensors = {f"{own}.{name}": tensor for own, layer in layers.items() for name, tensor in layer.state_dict().items()}
    config = {"model_type": "nfn-steps", "input": [1, 6, 6], "steps": steps}
    found = read_classifier(saved(tmp_path / "run", tensors, config))
    pictures = torch.randn(2, 1, 6, 6)
    assert found.picture == (1, 6, 6) and found.assumed == () and found.module is not None
    assert torch.allclose(found.module(pictures), layers["z"](layers["a"](pictures).relu().flatten(1)), atol=1e-6)


def test_a_family_is_recognised_by_names_and_shapes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = {"0": nn.Conv2d(3, 4, 3, padding=1), "3": nn.Conv2d(4, 6, 3, padding=1)}
    own = nn.ModuleDict({"features": nn.ModuleDict(features), "classifier": nn.Linear(6, 5)})
    path = saved(tmp_path / "vgg", own.state_dict())
    found = read_classifier(path)
    assert found.reading.startswith("VGG (torchvision's names)") and found.picture == (3, 32, 32)
    assert found.assumed[0] == "VGG (torchvision), by its names and shapes"
    assert found.assumed[-1] == "pictures of 3x32x32"
    stated = read_classifier(path, None, NetworkTracer(None, (3, 8, 8)))
    assert stated.picture == (3, 8, 8) and stated.assumed == found.assumed[:-1]
    flat = read_classifier(path, None, NetworkTracer(None, (192,)))
    assert flat.picture == (3, 8, 8)
    with pytest.raises(ArchitectureError, match="does not run on pictures of 3x1x1"):
        read_classifier(path, None, NetworkTracer(None, (3, 1, 1)))
    assert found.module is not None and found.module(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    with pytest.raises(ArchitectureError, match="recognised by names and shapes alone"):
        read_classifier(path, Stated(strict=True))


def test_a_chain_is_read_and_not_run(tmp_path: Path) -> None:
    tensors = chain(49, 12, 7, 4)
    found = read_classifier(saved(tmp_path / "mlp", tensors))
    assert found.module is None and found.picture is None and found.chain is not None
    assert found.assumed == (ONE_CHAIN, "pictures of 1x7x7") and found.reading == "fc1 → fc2 → fc3"
    assert list(found.tensors) == list(tensors)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items())


def test_a_chain_that_is_stated_whole_is_run(tmp_path: Path) -> None:
    tensors, stated = chain(49, 12, 4), Stated(activation="tanh", chain=True)
    path = saved(tmp_path / "mlp", tensors)
    found = read_classifier(path, stated, NetworkTracer(None, (1, 7, 7)))
    pictures = torch.randn(3, 1, 7, 7)
    hidden = torch.tanh(pictures.flatten(1) @ tensors["fc1.weight"].T + tensors["fc1.bias"])
    assert found.module is not None and found.assumed == () and found.picture == (1, 7, 7)
    logits = hidden @ tensors["fc2.weight"].T + tensors["fc2.bias"]
    assert torch.allclose(found.module(pictures), logits, atol=1e-5)
    assert read_classifier(path, stated).module is None
    with pytest.raises(ArchitectureError, match="reads 49 numbers, not 64"):
        read_classifier(path, stated, NetworkTracer(None, (1, 8, 8)))


def test_norms_stand_behind_their_layers_and_whole_numbers_are_left_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    found = read_classifier(saved(tmp_path / "net", own.state_dict()))
    assert list(found.tensors) == [
        *("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"),
        *("4.weight", "4.bias"),
    ]


@pytest.mark.parametrize(
    ("tensors", "cause"),
    [
        (chain(49, 8, 1), "it has 1 output, not 2 to 1,000 classes"),
        (chain(49, 8, 1_001), "it has 1,001 outputs, not 2 to 1,000 classes"),
        (chain(49, 8, 49), "it gives as many numbers as it takes (49), as an autoencoder does"),
        (chain(2, 8, 8, 3), "it takes two coordinates"),
        (chain(13, 8, 3), "its first layer, fc1, reads 13 numbers, which are no square picture"),
        (
            {"a.weight": torch.ones(4, 64, 3, 3), "b.weight": torch.ones(3, 4)},
            "its first layer, a, reads 64 channels, more than pictures have",
        ),
        ({"a.weight": torch.ones(4, 3, 5), "b.weight": torch.ones(3, 4)}, "its convolutions have one axis"),
        (
            {"a.weight": torch.ones(4, 1, 3, 3), "b.weight": torch.ones(3, 4, 3, 3)},
            "its last layer, b, is a convolution, and it does not show whether it tells classes apart",
        ),
        (
            {f"{own}.{name}": tensor for own in ("actor", "critic") for name, tensor in chain(9, 8, 4).items()},
            "several networks (actor, critic)",
        ),
        ({"layers.0.attn.qkv.weight": torch.ones(6, 2), "head.weight": torch.ones(3, 2)}, "part of an attention"),
    ],
    ids=[
        "one output",
        "words",
        "autoencoder",
        "coordinates",
        "table",
        "features",
        "sound",
        "encoder",
        "several",
        "attention",
    ],
)
def test_what_is_no_classifier_of_pictures_is_refused(tmp_path: Path, tensors: dict[str, Tensor], cause: str) -> None:
    with pytest.raises(ArchitectureError) as error:
        read_classifier(saved(tmp_path / "net", tensors))
    assert cause in str(error.value) and "\n" not in str(error.value)


def test_a_picture_that_is_not_square_is_stated(tmp_path: Path) -> None:
    path = saved(tmp_path / "net", chain(2914, 8, 4))
    with pytest.raises(ArchitectureError, match="state the shape of its pictures: --input-shape"):
        read_classifier(path)
    assert read_classifier(path, None, NetworkTracer(None, (1, 62, 47))).chain is not None


def test_a_stated_shape_is_never_passed_over(tmp_path: Path) -> None:
    row = saved(tmp_path / "row", chain(49, 8, 4))
    assert read_classifier(row, None, NetworkTracer(None, (1, 7, 7))).assumed == (ONE_CHAIN,)
    with pytest.raises(ArchitectureError, match="its first layer, fc1, reads 49 numbers, not 3,072"):
        read_classifier(row, None, NetworkTracer(None, (3, 32, 32)))
    tensors = {"conv.weight": torch.randn(4, 1, 3, 3), "conv.bias": torch.zeros(4)}
    tensors |= {"fc.weight": torch.randn(3, 4), "fc.bias": torch.zeros(3)}
    conv = saved(tmp_path / "conv", tensors)
    for shape in ((1, 9, 12), (28, 28), (784,)):
        assert read_classifier(conv, None, NetworkTracer(None, shape)).assumed == (ONE_CHAIN,)
    with pytest.raises(ArchitectureError, match="its first layer, conv, reads 1 channel, not 3"):
        read_classifier(conv, None, NetworkTracer(None, (3, 32, 32)))


def test_sines_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "net", chain(49, 8, 4))
    with pytest.raises(ArchitectureError, match="its activation is sin"):
        read_classifier(path, Stated(activation="sin"))


@pytest.mark.parametrize(
    ("family", "cause"),
    [
        ("unet", "and no logits of classes"),
        ("actor_critic_trunk", "which are no pictures"),
    ],
)
def test_families_that_are_no_classifiers_of_pictures_are_refused(tmp_path: Path, family: str, cause: str) -> None:
    case = Path(__file__).parent.parent / "families" / "cases" / f"{family}.json"
    shapes = json.loads(case.read_text(encoding="utf-8"))["shapes"]
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    with pytest.raises(ArchitectureError) as error:
        read_classifier(saved(tmp_path / "net", tensors))
    assert cause in str(error.value) and "\n" not in str(error.value)


def test_an_unknown_configuration_is_named_where_nothing_else_reads(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.ones(3, 4), "b.weight": torch.ones(3, 4), "c.weight": torch.ones(7, 5)}
    path = saved(tmp_path / "net", tensors, {"model_type": "odd"})
    with pytest.raises(ArchitectureError, match="model type 'odd' is no known family"):
        read_classifier(path)
