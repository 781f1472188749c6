"""The benchmark of kinship: disguises keep the function, changes are what they are called, figures are right."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from programs import BENCHMARKS, Load, programs_of
from torch import Tensor, nn

from nfn_cli.architectures.families import gpt2
from nfn_cli.architectures.families.variants import llama


@pytest.fixture
def load() -> Iterator[Load]:
    """Import a file of the benchmark."""
    with programs_of(BENCHMARKS / "kinship") as found:
        yield found
    for name in [name for name in sys.modules if name.partition(".")[0] == "measures"]:
        del sys.modules[name]


def disturbed(module: nn.Module) -> dict[str, Tensor]:
    """A state in which gains and biases are no longer ones and zeros."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: value + 0.2 * torch.randn(value.shape, generator=generator).to(value.dtype)
        for name, value in module.state_dict().items()
    }


LLAMA = """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-6,
"rope_theta": 10000.0, "vocab_size": 16, "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": false,
"hidden_act": "silu"}"""
GPT2 = """{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 16, "n_positions": 32,
"n_embd": 24, "n_layer": 2, "n_head": 4, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
"tie_word_embeddings": false}"""


def reference(config: str) -> nn.Module:
    """The network of a configuration as `nfn` runs it, in float64."""
    read = json.loads(config)
    width, vocabulary = read.get("hidden_size") or read["n_embd"], read["vocab_size"]
    kind, embedding = (llama, "model.embed_tokens") if "hidden_size" in read else (gpt2, "transformer.wte")
    layers = {f"{'model.layers' if kind is llama else 'transformer.h'}.{i}.x": (1,) for i in range(2)}
    shapes = {f"{embedding}.weight": (vocabulary, width), "lm_head.weight": (vocabulary, width)} | layers
    found = kind.from_config(read, shapes)
    assert found is not None
    torch.manual_seed(0)
    return found.make().double().eval()


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_a_rotation_keeps_outputs(load: Load, config: str) -> None:
    rotation = load("rotation")
    module, tokens = reference(config), torch.arange(12).view(2, 6) % 16
    state = disturbed(module)
    module.load_state_dict(state)
    before = module(tokens)
    moved = rotation.rotated(state, config, 1)
    module.load_state_dict(moved)
    assert (module(tokens) - before).abs().max() <= 1e-12 * before.abs().max()
    for name in state:
        if state[name].dim() > 1:
            assert torch.linalg.norm(moved[name] - state[name]) > 0.5 * torch.linalg.norm(state[name]), name


def test_a_tied_embedding_is_not_rotated(load: Load) -> None:
    with pytest.raises(ValueError, match="tied"):
        load("rotation").rotated({}, LLAMA.replace("false", "true"), 1)


def test_a_rotation_that_fixes_ones(load: Load) -> None:
    turn = load("rotation").orthogonal_fixing_ones(6, torch.Generator().manual_seed(0))
    assert torch.allclose(turn @ turn.T, torch.eye(6).double(), atol=1e-12)
    assert torch.allclose(turn.sum(1), torch.ones(6).double(), atol=1e-12)
    assert (turn - torch.eye(6)).abs().max() > 0.1


def test_int8_rounds_each_row_by_its_largest_entry(load: Load) -> None:
    old = torch.tensor([[127.0, 1.4, -0.6], [1.0, 0.5, 0.002]])
    found = load("changes").int8({"w": old, "b": old[0]})
    assert torch.equal(found["b"], old[0])
    assert torch.allclose(found["w"], torch.tensor([[127.0, 1.0, -1.0], [1.0, 64 / 127, 0.0]]))


def test_half_of_the_weights_is_pruned(load: Load) -> None:
    old = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    found = load("changes").pruned({"w": old})["w"]
    assert int((found == 0).sum()) == 30
    assert found.abs()[found != 0].min() >= old.abs().median()


def test_noise_is_a_share_of_each_deviation(load: Load) -> None:
    old = 5 + 3 * torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    found = load("changes").noisy({"w": old, "n": torch.tensor(7)}, 0.5, 1)
    assert found["n"] == 7
    assert (found["w"] - old).std().item() == pytest.approx(1.5, rel=0.05)


def test_one_layer_is_replaced(load: Load) -> None:
    changes, networks = load("changes"), load("networks")
    torch.manual_seed(0)
    one, other = (networks.ResNet(1, (4, 6), (1, 2), 3).state_dict() for _ in range(2))
    assert changes.layers(list(one)) == ["layer1.0.", "layer2.0.", "layer2.1."]
    found = changes.replaced(one, "layer2.1.", other, 0)
    drawn = changes.replaced(one, "layer2.1.", None, 0)
    kernel = "layer2.1.conv1.weight"
    assert torch.equal(found[kernel], other[kernel])
    assert not torch.equal(drawn[kernel], one[kernel])
    for name in one:
        if not name.startswith("layer2.1."):
            assert torch.equal(found[name], one[name]) and torch.equal(drawn[name], one[name])


@pytest.mark.parametrize("kind", ["cnn", "resnet"])
def test_a_layer_more_computes_the_same(load: Load, kind: str) -> None:
    networks, growth = load("networks"), load("growth")
    torch.manual_seed(0)
    old = networks.Cnn(1, (4, 6, 5), 3) if kind == "cnn" else networks.ResNet(1, (4, 6), (1, 1), 3)
    new = growth.grown(old.eval()).eval()
    pictures = torch.randn(2, 1, 16, 16)
    assert torch.allclose(new(pictures), old(pictures), atol=1e-6)
    assert sum(p.numel() for p in new.parameters()) > sum(p.numel() for p in old.parameters())


def test_networks_of_a_recipe_share_their_batches(load: Load) -> None:
    tasks = load("tasks")
    task = tasks.Pictures(torch.arange(50.0).view(50, 1, 1, 1), torch.arange(50) % 5, 5)
    one, other = (task.batch(8, torch.Generator().manual_seed(3))[0] for _ in range(2))
    assert torch.equal(one, other)
    assert set(task.of(range(2)).labels.tolist()) == {0, 1}


def test_text_is_split_by_files(load: Load, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a" * 100)
    (tmp_path / "b.py").write_text("b" * 99 + "é", encoding="utf-8")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c.py").write_text("c" * 100)
    split = load("tasks").text(tmp_path)
    texts = ["".join(map(chr, part.characters.tolist())) for part in (split.first, split.second, split.held_out)]
    assert texts == ["b" * 99 + "??", "c" * 100, "a" * 100]


def result(load: Load, group: str, one: int, other: int, score: float | None, **more: object) -> object:
    """A result of our own statistic."""
    names = ("member", "disguise", "verdict", "layer", "rate")
    facts = dict.fromkeys(names) | {"member": "short", "disguise": "plain"} | more
    return load("results").Result(
        measure="ours", group=group, family="cnn", kind="k", one=one, other=other, score=score, seconds=0.0, **facts
    )


def test_areas_under_the_curve(load: Load) -> None:
    figures = load("figures")
    kin = [result(load, "kin", number, number, 1.0) for number in range(4)]
    apart = [result(load, "independent", a, b, 0.1) for a in range(4) for b in range(a)]
    assert figures.auc(kin, apart) == figures.Figure(1.0, 1.0, 1.0)
    silent = [*kin[:2], *(result(load, "kin", number, number, None) for number in (2, 3))]
    found = figures.auc(silent, apart)
    assert found.value == 0.5 and found.low < 0.5 < found.high


def test_shares_have_exact_intervals(load: Load) -> None:
    pytest.importorskip("scipy")
    found = load("figures").share(0, 200)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 200))
    assert load("figures").share(2, 2).high == 1.0


def test_invariant_terms_are_invariant(load: Load, tmp_path: Path) -> None:
    files, rotation, measures = load("files"), load("rotation"), load("measures")
    for config in (LLAMA, GPT2):
        folder = tmp_path / ("gpt2" if "gpt2" in config else "llama")
        state = {name: value.float() for name, value in disturbed(reference(config)).items()}
        a = files.write(folder / "a.safetensors", state, config)
        moved = {name: value.float() for name, value in rotation.rotated(state, config, 1).items()}
        b = files.write(folder / "b.safetensors", moved, config)
        scores = {name: measures.measure_of(name).measure(a, b).score for name in ("invariants", "cosine", "spectra")}
        assert scores["invariants"] == pytest.approx(1, abs=1e-5)
        assert abs(scores["cosine"]) < 0.5


def test_what_is_measured_is_not_measured_again(load: Load, tmp_path: Path) -> None:
    files, results, pairs = load("files"), load("results"), load("pairs")
    places = [files.write(tmp_path / f"{n}.safetensors", {"fc.weight": torch.randn(3, 4)}) for n in range(2)]
    pair = pairs.Pair("null", "mlp", "some", 0, 1, "base", "plain", *places)
    missing = pairs.Pair("null", "mlp", "some", 2, 3, "base", "plain", places[0], tmp_path / "none")
    target = tmp_path / "results.jsonl"
    first = list(results.measure_all(target, [pair, missing], ["cosine"]))
    assert [own.key for own in first] == ["cosine/null/some/0/1/base/plain"]
    assert list(results.measure_all(target, [pair], ["cosine"])) == []
    with target.open("a") as file:
        file.write('{"measure": "cut o')
    assert list(results.read_results(target).values()) == first


def test_disjoint_pairs_use_each_network_once(load: Load, tmp_path: Path) -> None:
    independent, pairs, recipes = load("independent"), load("pairs"), load("recipes")
    recipe = recipes.RECIPES["mlp-128"]
    for number in range(5):
        place = independent.place(tmp_path, recipe, number)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    found = list(pairs.disjoint_pairs(tmp_path, "null"))
    assert [(own.one, own.other) for own in found] == [(0, 1), (2, 3)]


def test_a_replaced_layer_is_named(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy")
    table = load("table")
    monkeypatch.setattr(table, "KINDS", {"k": SimpleNamespace(name="k")})
    monkeypatch.setattr(table, "replaced_layer", lambda family: f"conv{family.number + 1}.")
    named = [result(load, "kin", n, n, 1.0, member="replaced", layer=f"conv{n + 1}") for n in range(2)]
    wrong = result(load, "kin", 2, 2, 1.0, member="replaced", layer="conv33")
    out = io.StringIO()
    table.print_replaced([*named, wrong], tmp_path, out)
    assert "| all | plain | 2 of 3 |" in out.getvalue()


def test_verdicts_follow_the_null_that_ships(load: Load) -> None:
    judging = load("judging")
    threshold = judging.families()["cnn"].threshold
    scores = {"derived": threshold + 0.01, "unknown": threshold - 0.01, "independent": 0.0}
    for wanted, score in scores.items():
        before = result(load, "kin", 0, 0, score, verdict="derived" if wanted != "derived" else "unknown", rate=0.1)
        assert [own.verdict for own in judging.judged({before.key: before})] == [wanted]
    copy = result(load, "kin", 0, 0, 1.0, verdict="same")
    assert judging.judged({copy.key: copy}) == [copy]
