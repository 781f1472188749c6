"""Networks that no head for their own architecture reads go to a head for any classifier, where there is one."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli.errors import UsageError
from nfn_cli.nn import AccuracyDetails, Head, HeadConfig, sizes_of
from nfn_cli.nn.accepted import ANY_CLASSIFIER
from nfn_cli.nn.tasks.accuracy import AccuracyTask
from nfn_cli.scoring import EngineSettings, ScoreRow, Tally, assumption_notes, run, score
from nfn_cli.scoring.made_with import difference, made_with

Save = Callable[..., Path]
ANSWERED = "answered by any-classifier: a head for classifiers of every architecture, less exact than one for their own"
NOT_RUN = "not run, since it is not known how; their module makes the answer more exact (--model FILE.py:FACTORY)"
MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.more, self.last = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.first(x.flatten(1)))
        return self.last(x + torch.relu(self.more(x)))

def net(): return Net(), torch.zeros(1, 1, 4, 4)
def words(): return nn.Embedding(5, 3)
"""


def any_head() -> Head:
    """A head that nobody trained."""
    torch.manual_seed(0)
    config = HeadConfig(ANY_CLASSIFIER, sizes_of("any-classifier", members=2, width=4, hidden=8), AccuracyDetails())
    model = config.new_model().eval()
    model.interval.terms.mul_(0.05)
    for reach in (model.asked_reach, model.unasked_reach):
        reach.limit.fill_(9.0)
    return Head("any-classifier", config, model)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a head."""
    path = tmp_path_factory.mktemp("own") / "any-classifier"
    any_head().save(path, "# any-classifier\n")
    return path


@pytest.fixture
def all_shipped(shipped: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship it beside the heads for one architecture."""
    import nfn_cli.shipped

    shutil.copytree(shipped, tmp_path / "package" / "models")
    shutil.copytree(folder, tmp_path / "package" / "models" / "any-classifier")
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", tmp_path / "package")
    return tmp_path / "package" / "models"


def chain(*sizes: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for place, (inputs, outputs) in enumerate(pairwise(sizes), 1):
        found[f"fc{place}.weight"] = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        found[f"fc{place}.bias"] = torch.randn(outputs, generator=generator)
    return found


def saved(path: Path, tensors: dict[str, Tensor], **facts: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, facts or None)
    return path


def population(tmp_path: Path, count: int = 6) -> list[Path]:
    """Chains of several architectures."""
    return [
        saved(tmp_path / "zoo" / f"{number}.safetensors", chain(16, 5 + number % 3, 4 + number // 3, 3, seed=number))
        for number in range(count)
    ]


def read(paths: object, **options: object) -> tuple[list[ScoreRow], list[str]]:
    notes: list[str] = []
    rows = list(score(paths, device="cpu", on_note=notes.append, **options))  # type: ignore[arg-type]
    return rows, notes


@pytest.mark.usefixtures("all_shipped")
def test_a_network_goes_to_the_head_for_its_own_architecture_first(save: Save, tmp_path: Path) -> None:
    other = saved(tmp_path / "other.safetensors", chain(16, 4, 4, 3))
    rows, notes = read([save("a.safetensors"), other])
    assert [row.head for row in rows] == ["a-relu", "any-classifier"]
    assert rows[0].distance is None and rows[1].distance is not None and rows[1].error is None
    assert rows[1].in_distribution is (rows[1].distance <= 1)
    assert notes == [
        f"1 network {ANSWERED}",
        f"1 of them {NOT_RUN}",
        "assumed: one chain of layers, as head any-classifier reads it (1 file does not say); "
        "say it in a file nfn.yaml beside them (chain: true)",
        "assumed: pictures of 1x4x4, as head any-classifier reads it (1 file does not say); "
        "state it with --input-shape",
    ]


@pytest.mark.usefixtures("all_shipped")
def test_a_head_for_any_classifier_is_forced_by_its_name(save: Save) -> None:
    rows, notes = read([save("a.safetensors", conv=True)], head="any-classifier")
    assert rows[0].head == "any-classifier" and rows[0].distance is not None
    assert notes[0] == f"1 network {ANSWERED}"


@pytest.mark.usefixtures("all_shipped")
def test_what_is_no_classifier_has_a_row_that_says_why(save: Save, tmp_path: Path) -> None:
    paths = [
        saved(tmp_path / "sines.safetensors", chain(16, 4, 4, 3), activation="sin"),
        saved(tmp_path / "one.safetensors", chain(16, 4, 4, 1)),
        saved(tmp_path / "odd.safetensors", {"a.weight": torch.ones(3, 4), "b.weight": torch.ones(7, 5)}),
    ]
    rows, notes = read([*paths, save("a.safetensors")])
    assert "no classifier of pictures: its activation is sin" in (rows[0].error or "")
    assert "it has 1 output, not 2 to 1,000 classes" in (rows[1].error or "")
    assert "--model FILE.py:FACTORY" in (rows[2].error or "")
    assert rows[3].head == "a-relu" and notes == []


def test_a_row_does_not_depend_on_its_neighbours(folder: Path, tmp_path: Path) -> None:
    paths = population(tmp_path)
    together, _ = read(paths, head=str(folder))
    for path, row in zip(paths, together, strict=True):
        ((alone,), _) = read([path], head=str(folder))
        assert alone.accuracy == pytest.approx(row.accuracy, abs=1e-6)
        assert alone.distance == pytest.approx(row.distance, rel=1e-5)
        assert (alone.head, alone.in_distribution) == (row.head, row.in_distribution)
    small, _ = read(paths, head=str(folder), batch_size=2)
    assert [row.accuracy for row in small] == pytest.approx([row.accuracy for row in together], abs=1e-6)


def test_processes_give_the_same_rows(folder: Path, tmp_path: Path) -> None:
    paths = population(tmp_path, 3)
    here, notes = read(paths, head=str(folder), jobs=0)
    there, others = read(paths, head=str(folder), jobs=1)
    assert there == here and others == notes


def test_the_networks_of_a_packed_file_have_rows_of_their_own(folder: Path, tmp_path: Path) -> None:
    from nfn_cli.checkpoints import POPULATION_KEY

    own = [chain(16, 5, 3, seed=seed) for seed in range(3)]
    packed = {name: torch.stack([one[name] for one in own]) for name in own[0]}
    path = saved(tmp_path / "zoo.safetensors", packed, **{POPULATION_KEY: "3"})
    rows, _ = read([path], head=str(folder))
    assert [row.path for row in rows] == [f"{path}#{number}" for number in range(3)]
    alone, _ = read([saved(tmp_path / "1.safetensors", own[1])], head=str(folder))
    assert rows[1].accuracy == pytest.approx(alone[0].accuracy, abs=1e-6)


def test_a_users_module_is_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE, encoding="utf-8")
    space: dict[str, Callable[[], nn.Module]] = {}
    exec(MODULE, space)  # type: ignore[arg-type]
    path = saved(tmp_path / "a.safetensors", space["Net"]().state_dict())
    model = f"{tmp_path / 'net.py'}:net"
    settings = EngineSettings(head=str(folder), model=model, jobs=0)
    tally = Tally()
    ((scored,),) = run(AccuracyTask(), [str(path)], settings, tally)
    assert scored.row.error is None and scored.row.head == "any-classifier"
    assert assumption_notes(tally) == [f"1 network {ANSWERED}"]
    unknown, _ = read([path], head=str(folder))
    assert "give its module: --model FILE.py:FACTORY" in (unknown[0].error or "")


def test_python_gives_a_module_and_the_shape_of_pictures(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE, encoding="utf-8")
    space: dict[str, Callable[[], nn.Module]] = {}
    exec(MODULE, space)  # type: ignore[arg-type]
    module = space["Net"]()
    path = saved(tmp_path / "a.safetensors", module.state_dict())
    model = f"{tmp_path / 'net.py'}:net"
    notes: list[str] = []
    (row,) = score(path, head=folder, model=model, jobs=0, on_note=notes.append)
    (there,) = score(module, head=folder, inputs=torch.zeros(1, 1, 4, 4))
    assert row.error is None and row.accuracy == pytest.approx(there.accuracy, abs=1e-6)
    assert notes == [f"1 network {ANSWERED}"]
    plain = saved(tmp_path / "chain.safetensors", chain(16, 4, 4, 3))
    told = [read([plain], head=folder, input_shape=shape)[1] for shape in (None, [1, 4, 4])]
    assert [any("pictures of 1x4x4" in note for note in own) for own in told] == [True, False]
    for options, name in (({"model": model}, "model"), ({"input_shape": (1, 4, 4)}, "input_shape")):
        with pytest.raises(
            UsageError, match=f"{name}: is for files, and networks in memory are given; give the modules"
        ):
            score(module, head=folder, **options)  # type: ignore[arg-type]


def configured(folder: Path, kernel: int = 3) -> Path:
    """A CNN whose file says nothing of itself, beside the configuration of a recorded network with tanh."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (4, 1, 3, 3), "conv.bias": (4,), "fc.weight": (2, 4), "fc.bias": (2,)}
    tensors = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    conv = {
        "op": "conv",
        "name": "conv",
        "ins": 1,
        "outs": 4,
        "kernel": kernel,
        "stride": 1,
        "padding": 0,
        "bias": True,
    }
    linear = {"op": "linear", "name": "fc", "ins": 4, "outs": 2, "bias": True}
    steps = [conv, {"op": "tanh"}, {"op": "flatten"}, linear]
    path = saved(folder / "net.safetensors", tensors)
    (folder / "config.json").write_text(
        json.dumps({"model_type": "nfn-steps", "input": [1, kernel, kernel], "steps": steps})
    )
    return path


@pytest.mark.usefixtures("all_shipped")
def test_what_a_configuration_proves_is_not_assumed(tmp_path: Path) -> None:
    """The head for ReLU networks would take it for one of its own."""
    path = configured(tmp_path / "own")
    rows, notes = read([path])
    assert rows[0].error is None and rows[0].head == "any-classifier" and notes == [f"1 network {ANSWERED}"]
    (tmp_path / "own" / "config.json").unlink()
    rows, notes = read([path])
    assert rows[0].head != "any-classifier" and any("activation" in note for note in notes)


@pytest.mark.usefixtures("all_shipped")
def test_a_configuration_of_another_network_is_told_of(tmp_path: Path) -> None:
    path = configured(tmp_path / "other", kernel=2)
    rows, notes = read([path])
    assert rows[0].error is None and rows[0].head != "any-classifier"
    assert any("assumed: the config.json beside it is another network's, as head" in note for note in notes)
    (tmp_path / "other" / "nfn.yaml").write_text("chain: true\nactivation: tanh\n")
    rows, notes = read([path])
    assert rows[0].error is None and notes == []


def test_a_module_that_does_not_serve_is_refused_before_the_first_row(
    folder: Path, shipped: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(MODULE, encoding="utf-8")

    def refusal(head: Path, factory: str) -> str:
        with pytest.raises(UsageError) as error:
            run(AccuracyTask(), [], EngineSettings(head=str(head), model=f"{tmp_path / 'net.py'}:{factory}"), Tally())
        return str(error.value)

    assert "it takes whole numbers, as a language model does" in refusal(folder, "words")
    assert "has no nothing" in refusal(folder, "nothing")
    assert "of the heads that are asked none reads networks by a module" in refusal(shipped / "a-relu", "net")


def test_rows_tell_by_which_module_they_were_made(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text(MODULE, encoding="utf-8")
    plain = EngineSettings(head=str(folder))
    own = plain.changed(model=f"{source}:net", input_shape=(1, 4, 4))
    before = made_with(AccuracyTask(), own)
    assert "input_shape 1x4x4" in difference(before, made_with(AccuracyTask(), plain))
    source.write_text(MODULE + "\n", encoding="utf-8")
    assert made_with(AccuracyTask(), own) != before


@pytest.mark.usefixtures("all_shipped")
def test_a_module_in_memory_is_run_as_it_is() -> None:
    space: dict[str, Callable[[], nn.Module]] = {}
    exec(MODULE, space)  # type: ignore[arg-type]
    module = space["Net"]()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    rows, notes = read([module, module.state_dict()], inputs=torch.zeros(1, 1, 4, 4))
    assert [row.head for row in rows] == ["any-classifier", None]
    assert "give the module itself" in (rows[1].error or "")
    assert notes == [f"1 network {ANSWERED}"]
    assert module.training and all(torch.equal(before[name], own) for name, own in module.state_dict().items())


@pytest.mark.usefixtures("all_shipped")
def test_a_module_in_memory_that_is_no_classifier_says_why() -> None:
    rows, _ = read(nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 4)))
    assert "Sequential: Sequential makes no classifier of pictures: it takes whole numbers" in (rows[0].error or "")


def test_rows_are_taken_up_again(nfn: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path) -> None:
    paths, out = population(tmp_path, 4), tmp_path / "rows.csv"
    assert nfn("predict-accuracy", *paths[:2], "--head", folder, "-o", out)[0] == 0
    code, _, err = nfn("predict-accuracy", *paths, "--head", folder, "-o", out, "--resume")
    assert code == 0 and "2 skipped" in err and ANSWERED in err
    whole = tmp_path / "whole.csv"
    assert nfn("predict-accuracy", *paths, "--head", folder, "-o", whole)[0] == 0
    rows, others = (list(csv.DictReader(file.open(encoding="utf-8"))) for file in (out, whole))
    assert [row["path"] for row in rows] == [row["path"] for row in others]
    assert all(float(row["distance"]) > 0 for row in rows)
    assert [float(row["accuracy"]) for row in rows] == pytest.approx(
        [float(row["accuracy"]) for row in others], abs=2e-6
    )


def test_rank_names_the_head_and_the_distance(
    nfn: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path
) -> None:
    code, out, err = nfn("rank", *population(tmp_path, 3), "--head", folder, "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0 and [row["rank"] for row in rows] == ["1", "2", "3"] and ANSWERED in err
    assert all(row["head"] == "any-classifier" and float(row["distance"]) > 0 for row in rows)


def test_commands_take_a_module(nfn: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODULE, encoding="utf-8")
    space: dict[str, Callable[[], nn.Module]] = {}
    exec(MODULE, space)  # type: ignore[arg-type]
    path = saved(tmp_path / "a.safetensors", space["Net"]().state_dict())
    own = ("--head", folder, "--model", f"{tmp_path / 'net.py'}:net", "--format", "csv")
    code, out, err = nfn("predict-accuracy", path, *own)
    (row,) = csv.DictReader(out.splitlines())
    assert code == 0 and row["head"] == "any-classifier" and ANSWERED in err
    code, out, _ = nfn("rank", path, *own)
    assert code == 0 and next(csv.DictReader(out.splitlines()))["accuracy"] == row["accuracy"]
    code, out, err = nfn("predict-accuracy", path, *own, "--input-shape", "1x4x4")
    assert (code, out) == (2, "") and err.count("\n") == 1 and "gives example inputs of its own" in err


@pytest.mark.parametrize(
    ("late", "cause"),
    [
        ("raise SystemExit(0)", "it does not run on pictures of 1x4x4 (SystemExit: 0)"),
        ("raise KeyError('late')", "it does not run on pictures of 1x4x4 (KeyError: 'late')"),
        ("print('words')", None),
    ],
)
def test_a_module_that_ends_the_program_or_prints_spoils_no_rows(
    nfn: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path, late: str, cause: str | None
) -> None:
    head, tail = MODULE.split("        x = torch.relu", 1)
    # With more pictures than tell how it is used: it fails while it is scored.
    text = f"{head}        if len(x) > 16: {late}\n        x = torch.relu{tail}"
    (tmp_path / "net.py").write_text(text, encoding="utf-8")
    space: dict[str, Callable[[], nn.Module]] = {}
    exec(MODULE, space)  # type: ignore[arg-type]
    path = saved(tmp_path / "a.safetensors", space["Net"]().state_dict())
    own = ("--head", folder, "--model", f"{tmp_path / 'net.py'}:net", "--format", "csv")
    code, out, _ = nfn("predict-accuracy", path, *own)
    (row,) = csv.DictReader(out.splitlines())
    assert code == (0 if cause is None else 3) and out.startswith("path,accuracy,")
    assert (cause or "") in row["error"] and bool(row["accuracy"]) == (cause is None)


def test_answers_that_are_not_finite_are_no_prediction(
    nfn: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(MODULE, encoding="utf-8")
    space: dict[str, Callable[[], nn.Module]] = {}
    exec(MODULE, space)  # type: ignore[arg-type]
    state = {name: tensor * 1e30 for name, tensor in space["Net"]().state_dict().items()}
    path = saved(tmp_path / "a.safetensors", state)
    own = ("--head", folder, "--model", f"{tmp_path / 'net.py'}:net", "--format", "csv")
    code, out, _ = nfn("predict-accuracy", path, *own)
    (row,) = csv.DictReader(out.splitlines())
    assert code == 3 and "its answers to pictures are not finite numbers" in row["error"]


def test_verify_refuses_such_a_head(nfn: Callable[..., tuple[int, str, str]], folder: Path, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", chain(16, 4, 3))
    code, _, err = nfn("verify", path, "--activation", "relu", "--head", folder)
    assert code == 3 and "any-classifier reads no weights, but statistics" in err


def test_networks_that_other_heads_read_need_none_of_what_this_one_needs() -> None:
    samples = Path(__file__).parent.parent / "samples"
    program = (
        "import sys\n"
        "from nfn_cli.scoring import score\n"
        f"rows = list(score({str(samples)!r}, device='cpu', include=['relu*'], jobs=0))\n"
        "assert rows and all(row.error is None for row in rows), rows\n"
        "parts = ('architectures.families', '.tracing', 'classifier_module', 'any_classifier.statistics_of')\n"
        "print([name for name in sys.modules if any(part in name for part in parts)])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
