"""`nfn verify`: exit codes, rows, the saved element, and every way in which a network can fail."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfn_cli.architectures import Layer, chain
from nfn_cli.nn import Accepted, AccuracyDetails, Head, HeadConfig, MonomialNFNSizes

Nfn = Callable[..., Any]
Factory = Callable[[], nn.Module]


def mlp() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(a=nn.Linear(4, 9), f=nn.Identity(), b=nn.Linear(9, 7), g=nn.Identity(), c=nn.Linear(7, 3))
    )


def cnn() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(a=nn.Conv2d(2, 6, 3), b=nn.Conv2d(6, 5, 3), f=nn.Flatten(), c=nn.Linear(45, 8), d=nn.Linear(8, 3))
    )


def batchnorm() -> nn.Sequential:
    module = nn.Sequential(
        OrderedDict(a=nn.Conv2d(2, 6, 3), n=nn.BatchNorm2d(6), f=nn.ReLU(), b=nn.Conv2d(6, 4, 1), g=nn.Flatten())
    )
    with torch.no_grad():
        for tensor in (module.n.running_mean, module.n.bias, module.n.weight):
            tensor.normal_()
        module.n.running_var.uniform_(0.5, 2)
    return module


CHAINS = {mlp: "a → b → c", cnn: "a → b → c → d"}


def saved(path: Path, factory: Factory, activation: str, dtype: torch.dtype = torch.float32, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in factory().state_dict().items()}
    save_file(state, path, {"activation": activation, "pool": "none"})
    return path


def rewritten(path: Path, out: Path, change: Callable[[dict[str, Tensor]], None], activation: str = "relu") -> Path:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, out, {"activation": activation, "pool": "none"})
    return out


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "gelu", "identity"])
@pytest.mark.parametrize("factory", [mlp, cnn])
def test_what_apply_wrote_is_on_the_orbit(
    tmp_path: Path, nfn: Nfn, factory: Factory, activation: str, dtype: torch.dtype
) -> None:
    one, two = saved(tmp_path / "one.safetensors", factory, activation, dtype), tmp_path / "two.safetensors"
    applied, recovered = tmp_path / "applied.safetensors", tmp_path / "recovered.safetensors"
    assert nfn("apply", one, "--seed", 3, "-o", two, "--save-element", applied).code == 0
    finished = nfn("verify", one, two, "--save-element", recovered)
    assert finished.code == 0
    assert finished.err.startswith(
        f"nfn: same function, as the chain {CHAINS[factory]} with {activation} (largest deviation "
    )
    assert "\nnfn: assumed: layers follow one another as their names say" in finished.err
    expected, found = load_file(applied), load_file(recovered)
    for name, tensor in expected.items():
        if name.endswith("diagonal"):
            to = 1e-2 if dtype is torch.float16 else 1e-6
            assert torch.allclose(found[name], tensor, rtol=to, atol=0)
        else:
            assert torch.equal(found[name], tensor)
    assert nfn("apply", one, "--element", recovered, "-o", tmp_path / "three.safetensors").code == 0


def test_one_weight_changed_by_a_hundredth_is_another_orbit(tmp_path: Path, nfn: Nfn) -> None:
    one, two = saved(tmp_path / "one.safetensors", cnn, "relu"), tmp_path / "two.safetensors"
    nfn("apply", one, "--seed", 3, "-o", two)

    def change(tensors: dict[str, Tensor]) -> None:
        tensors["c.weight"][2, 20] *= 1.01

    finished = nfn("verify", one, rewritten(two, tmp_path / "three.safetensors", change), "--format", "json")
    assert finished.code == 1
    rows = json.loads(finished.out)
    assert [row["same"] for row in rows][:2] == [True, True]
    assert max(rows, key=lambda row: row["deviation"])["layer"] == "c"
    assert "not the same orbit" in finished.err
    assert "in c;" in finished.err


def test_batchnorm_is_compared_folded_and_the_element_acts_on_the_file(tmp_path: Path, nfn: Nfn) -> None:
    one, two = saved(tmp_path / "one.safetensors", batchnorm, "relu"), tmp_path / "two.safetensors"
    element, three = tmp_path / "element.safetensors", tmp_path / "three.safetensors"
    nfn("apply", one, "--seed", 3, "-o", two)
    assert nfn("verify", one, two, "--save-element", element).code == 0
    assert nfn("apply", one, "--element", element, "-o", three).code == 0
    for name, tensor in load_file(two).items():
        assert torch.allclose(load_file(three)[name], tensor, rtol=1e-5, atol=1e-7)


def beside() -> nn.Module:
    module = nn.Sequential(OrderedDict(a=nn.Linear(4, 9), p=nn.PReLU(), b=nn.Linear(9, 3)))
    module.register_parameter("log_std", nn.Parameter(torch.rand(3)))
    module.register_buffer("order", torch.randperm(4))
    module.register_buffer("steps", torch.tensor(1))
    return module


@pytest.mark.parametrize(
    ("name", "change"),
    [("log_std", 0.1), ("p.weight", 0.1), ("order", 1)],
    ids=["a deviation", "one slope for all", "an order"],
)
def test_what_stays_beside_the_layers_has_to_be_the_same(tmp_path: Path, nfn: Nfn, name: str, change: float) -> None:
    one, two = saved(tmp_path / "one.safetensors", beside, "prelu"), tmp_path / "two.safetensors"
    assert nfn("apply", one, "--seed", 1, "-o", two).code == 0
    rewritten(two, two, lambda tensors: tensors["steps"].add_(5), "prelu")  # a counter
    done = nfn("verify", one, two)
    assert (done.code, "same function" in done.err) == (0, True)
    rewritten(two, two, lambda tensors: tensors[name].view(-1)[0].add_(change), "prelu")
    done = nfn("verify", one, two)
    assert done.code == 1
    assert f"in {name};" in done.err


def test_what_only_one_has_beside_its_layers_is_told(tmp_path: Path, nfn: Nfn) -> None:
    one = saved(tmp_path / "one.safetensors", beside, "prelu")
    two = rewritten(one, tmp_path / "two.safetensors", lambda tensors: tensors.pop("log_std"), "prelu")
    done = nfn("verify", one, two)
    assert done.code == 1
    assert (
        f"{two}: not the same orbit: beside its layers it has order, p.weight, the other log_std, order, p.weight"
        in done.err
    )


def test_a_fine_tuned_network_tells_its_distance(tmp_path: Path, nfn: Nfn) -> None:
    one, two = saved(tmp_path / "one.safetensors", mlp, "relu"), tmp_path / "two.safetensors"
    nfn("apply", one, "--seed", 3, "-o", two)

    def tune(tensors: dict[str, Tensor]) -> None:
        for tensor in tensors.values():
            tensor *= 1 + 0.01 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(5))

    finished = nfn("verify", one, rewritten(two, tmp_path / "three.safetensors", tune), "--format", "json")
    assert finished.code == 1
    for row in json.loads(finished.out):
        assert 1e-3 < row["aligned"] < 0.05 < row["permuted"]


def test_plain_lines_and_a_table_have_a_row_for_each_layer(tmp_path: Path, nfn: Nfn) -> None:
    one = saved(tmp_path / "one.safetensors", mlp, "tanh")
    plain = nfn("verify", one, one).out.splitlines()
    assert plain[0].split("\t") == ["layer", "permuted", "aligned", "deviation", "tolerance", "same"]
    assert [line.split("\t")[0] for line in plain[1:]] == ["a", "b", "c"]
    assert plain[1].endswith("true")
    assert "permuted" in nfn("verify", one, one, "--format", "table").out


@pytest.mark.parametrize(
    ("factory", "activation", "told"),
    [(mlp, "tanh", "its activation is tanh"), (cnn, "relu", "it has 4 layers, the other 3")],
    ids=["activation", "layers"],
)
def test_other_architectures_are_refused_in_a_line(
    tmp_path: Path, nfn: Nfn, factory: Factory, activation: str, told: str
) -> None:
    one, two = saved(tmp_path / "one.safetensors", mlp, "relu"), tmp_path / "two.safetensors"
    finished = nfn("verify", one, saved(two, factory, activation))
    assert finished.code == 1
    assert finished.out == ""
    assert finished.err.startswith(f"nfn: {two}: not the same orbit: {told}")
    assert finished.err.count("\n") == 1


def test_programs_read_an_answer_of_other_architectures_too(tmp_path: Path, nfn: Nfn) -> None:
    one = saved(tmp_path / "one.safetensors", mlp, "relu")
    two = saved(tmp_path / "two.safetensors", mlp, "tanh")
    finished = nfn("verify", one, two, "--format", "json")
    assert (finished.code, json.loads(finished.out)) == (1, [])


@pytest.mark.parametrize(
    ("factory", "ours", "theirs", "option"),
    [
        (mlp, {"activation": "sin", "omega_0": "20"}, {"activation": "sin"}, "--omega-0"),
        (cnn, {"activation": "tanh", "pool": "max"}, {"activation": "tanh", "pool": "avg"}, "--pool"),
    ],
    ids=["frequency", "pooling"],
)
def test_what_a_file_does_not_tell_is_no_difference(
    tmp_path: Path, nfn: Nfn, factory: Factory, ours: dict[str, str], theirs: dict[str, str], option: str
) -> None:
    state = factory().state_dict()
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_file(state, one, ours)
    save_file(state, two, theirs)
    finished = nfn("verify", one, two)
    assert (finished.code, finished.out, finished.err.count("\n")) == (3, "", 1)
    assert f"the files say too little to compare them: say what holds for both ({option})" in finished.err


def test_frequencies_that_both_files_tell_are_a_difference(tmp_path: Path, nfn: Nfn) -> None:
    state = mlp().state_dict()
    for name, omega in (("one", "20"), ("two", "30")):
        save_file(state, tmp_path / f"{name}.safetensors", {"activation": "sin", "omega_0": omega})
    finished = nfn("verify", tmp_path / "one.safetensors", tmp_path / "two.safetensors")
    assert finished.code == 1
    assert "its omega_0 is 30, the other's 20" in finished.err


@pytest.mark.parametrize("place", [0, 1])
def test_what_cannot_be_read_is_trouble(tmp_path: Path, nfn: Nfn, place: int) -> None:
    files = [saved(tmp_path / "one.safetensors", mlp, "relu")] * 2
    files[place] = tmp_path / "none.safetensors"
    for text in (None, "no tensors"):
        if text is not None:
            files[place].write_text(text)
        finished = nfn("verify", *files)
        assert (finished.code, finished.out, finished.err.count("\n")) == (3, "", 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["B", "--head", "x"], "--head"),
        (["B", "--model", "a:b"], "--model"),
        (["B", "--input-shape", "3"], "--input-shape"),
        (["--save-element", "x"], "--save-element"),
        (["--input-shape", "3,b"], "'3,b' is no shape"),
        (["--input-shape", "5"], "inputs of 5 do not fit"),
        (["--model", "nothing"], "names no factory"),
        (["--model", "no_such_module_of_ours:make"], "cannot be imported (ModuleNotFoundError"),
    ],
    ids=str,
)
def test_wrong_usage_is_told_in_a_line(tmp_path: Path, nfn: Nfn, arguments: list[str], told: str) -> None:
    one = saved(tmp_path / "one.safetensors", mlp, "relu")
    finished = nfn("verify", one, *[one if argument == "B" else argument for argument in arguments])
    assert finished.code == 2
    assert told in finished.err
    assert finished.err.count("\n") == 1


def test_an_element_is_not_replaced_unasked(tmp_path: Path, nfn: Nfn) -> None:
    one = saved(tmp_path / "one.safetensors", mlp, "relu")
    assert nfn("verify", one, one, "--save-element", one).code == 2
    element = tmp_path / "element.safetensors"
    for _ in range(2):
        assert nfn("verify", one, one, "--save-element", element, "--overwrite").code == 0


@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "gelu", "identity"])
@pytest.mark.parametrize("factory", [mlp, cnn])
def test_a_network_is_preserved(tmp_path: Path, nfn: Nfn, factory: Factory, activation: str) -> None:
    one = saved(tmp_path / "one.safetensors", factory, activation)
    finished = nfn("verify", one, "--samples", 3, "--format", "json")
    assert finished.code == 0
    assert finished.err.startswith(f"nfn: preserved, as the chain {CHAINS[factory]} with {activation}\n")
    (row,) = json.loads(finished.out)
    assert (row["check"], row["samples"], row["passed"]) == ("outputs", 3, True)
    assert row["deviation"] < 1e-10


def deep() -> nn.Sequential:
    layers = OrderedDict((f"c{n}", nn.Conv2d(8 if n else 2, 8, 3)) for n in range(30))
    return nn.Sequential(layers | {"f": nn.Flatten(), "fc": nn.Linear(8, 3)})


def test_a_deep_network_is_run_on_less_and_says_so(tmp_path: Path, nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    one = saved(tmp_path / "one.safetensors", deep, "tanh")
    monkeypatch.setattr("nfn_cli.symmetry.trial._BUDGET", 6e7)
    finished = nfn("verify", one, "--format", "json")
    (row,) = json.loads(finished.out)
    assert (finished.code, row["samples"]) == (0, 8)
    assert row["deviation"] < 1e-12
    told = "a large network, run on 6 padded inputs of 2x8x8 instead of 16 of 2x64x64 (see --input-shape, --samples)"
    assert finished.err.splitlines()[-1] == f"nfn: {told}"
    monkeypatch.setattr("nfn_cli.symmetry.trial._BUDGET", 1e5)
    finished = nfn("verify", one)
    assert "run on 2 padded inputs of 2x4x4 instead of 16 of 2x64x64, 2 samples instead of 8 (" in finished.err
    monkeypatch.undo()
    finished = nfn("verify", one, "--samples", 1, "--input-shape", "2,61,61", "--format", "json")
    assert json.loads(finished.out)[0]["samples"] == 1
    assert "a large network" not in finished.err


SAMPLE = Path(__file__).parents[2] / "samples" / "relu-1.safetensors"


def test_the_prediction_of_a_shipped_head_is_preserved(nfn: Nfn) -> None:
    finished = nfn("verify", SAMPLE, "--samples", 2)
    assert finished.code == 0
    assert "prediction of small-cnn-relu" in finished.out
    assert nfn("verify", SAMPLE, "--samples", 2, "--head", "small-cnn-relu").out == finished.out


def test_a_head_that_does_not_read_the_network_is_refused(tmp_path: Path, nfn: Nfn) -> None:
    finished = nfn("verify", saved(tmp_path / "one.safetensors", mlp, "relu"), "--head", "small-cnn-relu")
    assert finished.code == 3
    assert "small-cnn-relu" in finished.err


def test_a_head_for_another_group_fails(tmp_path: Path, nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    one = saved(tmp_path / "one.safetensors", mlp, "relu")
    # A head for tanh knows no scales, so they change what it says.
    layers = [Layer("a", "linear", 4, 9), Layer("b", "linear", 9, 7), Layer("c", "linear", 7, 3)]
    config = HeadConfig(Accepted.of(chain(layers, activation="tanh")), MonomialNFNSizes(), AccuracyDetails())
    torch.manual_seed(0)
    Head("signs", config, config.new_model()).save(tmp_path / "signs", "")
    monkeypatch.setattr(Accepted, "mismatch", lambda *_: None)
    finished = nfn("verify", one, "--head", tmp_path / "signs")
    assert finished.code == 1
    assert finished.err.startswith("nfn: not preserved: prediction of signs, as the chain a → b → c with relu\n")


MODULES = """
import torch
from torch import nn

def good():
    return nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 3))

def bent():
    return nn.Sequential(nn.Linear(4, 9), nn.GELU(), nn.Dropout(), nn.Linear(9, 3))

def other():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))

def convolutions():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(294, 3)
    )

class Nan(nn.Sequential):
    def forward(self, inputs):
        return super().forward(inputs) * float("nan")

def broken():
    return Nan(*good())

class Pair(nn.Sequential):
    def forward(self, inputs):
        return super().forward(inputs), None

def pair():
    return Pair(*good())

class Thing(nn.Sequential):
    def forward(self, inputs):
        return super().forward(inputs), object()

def thing():
    return Thing(*good())

class Whole(nn.Sequential):
    def forward(self, inputs):
        return {"class": super().forward(inputs).argmax(1)}

def whole():
    return Whole(*good())

class Named(nn.Sequential):
    def forward(self, *, tokens, inputs):
        return {"small": super().forward(inputs) * 1e-6, "sum": inputs.sum() + tokens}

def named():
    return Named(*good()), {"tokens": torch.arange(2), "inputs": torch.zeros(5, 4)}

class BentBeside(nn.Sequential):
    def forward(self, inputs):
        return 1e9 + inputs, self[3](nn.functional.gelu(self[0](inputs)))

def bent_beside():
    return BentBeside(*good()), torch.zeros(5, 4)

def printing():
    print("made")
    module = good()
    module.register_forward_hook(lambda *_: print("computed"))
    return module

def leaving():
    raise SystemExit(3)

def number():
    return 7

def failing():
    raise RuntimeError("no\\nluck")
"""


class TestModel:
    """The user's own module."""

    @pytest.fixture(autouse=True)
    def modules(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "nfn_test_modules.py").write_text(MODULES)
        monkeypatch.chdir(tmp_path)

    @staticmethod
    def checkpoint(name: str, dtype: torch.dtype = torch.float32) -> Path:
        space: dict[str, Any] = {}
        exec(MODULES, space)
        return saved(Path("one.safetensors"), space[name], "relu", dtype)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("name", ["good", "convolutions"])
    def test_a_module_computes_the_same(self, nfn: Nfn, name: str, dtype: torch.dtype) -> None:
        finished = nfn("verify", self.checkpoint(name, dtype), "--model", f"nfn_test_modules:{name}")
        assert finished.err.startswith("nfn: preserved, as the chain ")
        assert finished.code == 0

    def test_an_activation_that_the_file_does_not_tell_fails(self, nfn: Nfn) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", "nfn_test_modules:bent", "--format", "json")
        assert finished.code == 1
        assert finished.err.startswith("nfn: not preserved: outputs of nfn_test_modules:bent, as the chain ")
        assert json.loads(finished.out)[0]["deviation"] > 0.01

    def test_outputs_that_are_no_numbers_fail(self, nfn: Nfn) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", "nfn_test_modules:broken")
        assert finished.code == 1
        assert "not preserved" in finished.err

    @pytest.mark.parametrize("name", ["pair", "named"])
    def test_several_outputs_and_example_inputs(self, nfn: Nfn, name: str) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", f"nfn_test_modules.py:{name}", "--format", "json")
        assert finished.err.startswith("nfn: preserved, as the chain ")
        assert 0 < json.loads(finished.out)[0]["deviation"] < 1e-4  # zeros as inputs would show nothing

    def test_a_small_output_is_seen_beside_a_large_one(self, nfn: Nfn) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", "nfn_test_modules.py:bent_beside")
        assert finished.code == 1

    def test_example_inputs_and_a_shape_contradict(self, nfn: Nfn) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", "nfn_test_modules.py:named", "--input-shape", "4")
        assert (finished.code, finished.err.count("\n")) == (2, 1)
        assert "--input-shape: nfn_test_modules.py:named gives example inputs of its own" in finished.err

    def test_what_a_factory_prints_is_no_data(self, nfn: Nfn) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", "nfn_test_modules.py:printing", "--format", "json")
        assert json.loads(finished.out)[0]["passed"]
        assert finished.err.splitlines()[0] == "made"
        assert "computed" not in finished.err  # once for every run

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("other", "size mismatch"),
            ("thing", "computes a object"),
            ("whole", "computes no floating-point numbers"),
            ("leaving", "cannot be made (SystemExit: 3"),
            ("number", "returns a int"),
            ("failing", "RuntimeError: no)"),
            ("missing", "nfn_test_modules has no missing"),
        ],
    )
    def test_unusable_modules_are_told_in_a_line(self, nfn: Nfn, name: str, told: str) -> None:
        finished = nfn("verify", self.checkpoint("good"), "--model", f"nfn_test_modules:{name}")
        assert finished.code == 2
        assert told in finished.err
        assert finished.err.count("\n") == 1


def test_a_missing_file_is_told_before_anything_of_the_other(nfn: Nfn, tmp_path: Path) -> None:
    untold = tmp_path / "a.safetensors"
    save_file({"0.weight": torch.ones(3, 2), "1.weight": torch.ones(2, 3)}, untold)  # its activation is not said
    for arguments in ((untold, tmp_path / "missing.pt"), (tmp_path / "missing.pt", untold), (tmp_path / "missing.pt",)):
        finished = nfn("verify", *arguments)
        assert (finished.code, finished.out) == (3, "")
        assert finished.err.startswith(f"nfn: {tmp_path / 'missing.pt'}: no such file; ")
