"""The tree of a traced network's group: on terminals of several widths, as lines in a pipe, and as JSON."""

from __future__ import annotations

import io
import json
import re

import pytest

from nfn_cli.cli.inspections import write_inspections
from nfn_cli.cli.options import Format
from nfn_cli.cli.tables.labelled_table import LabelledInspected
from nfn_cli.symmetry.labelled import Proof, ProofRow
from nfn_cli.symmetry.labelled.inspection import BlockFacts, GaugeFacts, LabelledInspection


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def block(name: str, n: int, times: int, kind: str = "neurons", scales: int = 0, signs: int = 0, **more) -> BlockFacts:
    tensors = more.pop("tensors", (f"{name}.weight",))
    return BlockFacts(name, f"Sym({n})", n, times, n * times, kind, tensors, len(tensors), scales, signs, **more)


def inspection(**more) -> LabelledInspection:
    """Of a Llama's shape."""
    heads = block(
        "model.layers.0–15.self_attn.k_proj",
        8,
        16,
        "heads",
        4096,
        4096,
        tensors=tuple(f"model.layers.0–15.self_attn.{name}_proj.weight" for name in "qkvo"),
        inside=(
            block("model.layers.0–15.self_attn.q_proj", 4, 128),
            block("model.layers.0–15.self_attn.v_proj", 64, 128, scales=8192, signs=8192),
        ),
    )
    facts = {
        "streams": (block("model.embed_tokens", 2048, 1, "stream", 65_536, 67_584),),
        "blocks": (heads, block("model.layers.0–15.mlp.gate_proj", 8192, 16, scales=131_072)),
        "log10_permutations": 473_599.5,
        "scales": 208_896,
        "signs": 79_872,
        "elsewhere_scales": 0,
        "elsewhere_signs": 0,
        "moved": 146,
        "left": 0,
        "parameters": 1_235_814_400,
        "gauges": (
            GaugeFacts("GL(64) of values and outputs in each head", "model.layers.0–15.self_attn.v_proj", 16, 524_288),
        ),
    }
    return LabelledInspection(**(facts | more))


PROOF = Proof((ProofRow("permutation", "model.embed_tokens", 1.2e-15), ProofRow("everything", "", 0.3)))


def written(format: Format | None, *rows: LabelledInspected) -> str:
    stream = io.StringIO()
    write_inspections(rows, format, stream)
    return stream.getvalue()


def shown(width: int, monkeypatch: pytest.MonkeyPatch, *rows: LabelledInspected) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    write_inspections(rows, None, terminal)
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()


def llama(**more) -> LabelledInspected:
    return LabelledInspected("a.safetensors", inspection(**more), "safetensors", ("bfloat16",), "LlamaForCausalLM")


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_no_line_is_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(width, monkeypatch, llama())
    assert max(map(len, lines)) <= width
    start = next(place for place, line in enumerate(lines) if line.startswith("block"))
    tree = lines[start : lines.index("")]
    tree = [line for line in tree if "widen the terminal" not in line]
    assert len(tree) == 6  # a line each, below the columns' names
    assert all("Sym(" in line for line in tree[1:])


def test_the_tree_at_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(80, monkeypatch, llama())
    assert lines[0] == "a.safetensors  safetensors  bfloat16  1,235,814,400 parameters"
    assert lines[1].split() == ["block", "group", "times", "scales", "tensors"]
    assert lines[2].split()[:4] == ["stream", "model.embed_tokens", "Sym(2048)", "1"]
    assert "65,536 ≠0, 2,048 ±" in lines[2]
    assert lines[4].startswith("  q_proj ") and lines[5].startswith("  v_proj ")
    assert "131,072 >0" in lines[6]


def test_totals_and_gauges(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(120, monkeypatch, llama())
    text = "\n".join(lines)
    assert "GL(64) of values and outputs in each head  model.layers.0–15.self_attn.v_proj   16 ×    524,288" in text
    assert "read as       LlamaForCausalLM" in lines
    assert "permutations  10^473,599.5" in lines
    assert "scales        of dimension 208,896, and 79,872 signs" in lines
    assert "orbit         of dimension 208,896" in lines
    assert "moves         146 tensors, and leaves 0 as they are" in lines
    assert "proven" not in text


def test_what_is_proven_is_shown_if_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(80, monkeypatch, LabelledInspected("a", inspection(), proof=PROOF))
    assert any(line.startswith("proven ") and "no:" in line for line in lines)
    assert [line.split()[-2:] for line in lines[-2:]] == [["1.2e-15", "yes"], ["3.0e-01", "no"]]


def test_few_permutations_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "permutations  24" in shown(80, monkeypatch, llama(log10_permutations=1.3802112417116))


def test_lines_in_a_pipe_are_blocks_and_gauges() -> None:
    header, *lines = written(None, llama()).splitlines()
    names = header.split("\t")
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    assert [(row["depth"], row["kind"], row["group"], row["times"]) for row in rows] == [
        ("0", "stream", "Sym(2048)", "1"),
        ("0", "heads", "Sym(8)", "16"),
        ("1", "neurons", "Sym(4)", "128"),
        ("1", "neurons", "Sym(64)", "128"),
        ("0", "neurons", "Sym(8192)", "16"),
        ("0", "gauge", "GL(64) of values and outputs in each head", "16"),
    ]
    assert rows[3]["name"] == "model.layers.0–15.self_attn.v_proj"  # whole: no other line is needed to read it
    assert {row["orbit_dimension"] for row in rows} == {"208896"}
    assert rows[5]["block_scales"] == "524288" and rows[5]["tensors"] == ""


def test_a_file_that_cannot_be_read_has_its_error() -> None:
    error = "b.pt: no tensors; give a state dict"
    header, *lines = written(None, LabelledInspected("b.pt", error=error)).splitlines()
    (row,) = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert row["path"] == "b.pt" and row["error"] == error and row["group"] == ""
    assert json.loads(written(Format.json, LabelledInspected("b.pt", error=error))) == [
        {"path": "b.pt", "error": error}
    ]


def test_a_network_without_a_group_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    none = llama(streams=(), blocks=(), gauges=(), log10_permutations=0.0, scales=0, signs=0, moved=0, left=3)
    assert len(written(None, none).splitlines()) == 2
    assert "permutations  1" in shown(80, monkeypatch, none)


def test_json_has_the_tree() -> None:
    (record,) = json.loads(written(Format.json, LabelledInspected("a", inspection(), read_as="x", proof=PROOF)))
    assert record["streams"][0]["name"] == "model.embed_tokens"
    assert [own["n"] for own in record["blocks"][0]["inside"]] == [4, 64]
    assert record["gauges"][0]["dimension"] == 524_288
    assert record["orbit_dimension"] == 208_896 and record["error"] is None
    assert record["proof"]["proven"] is False
    assert [row["passed"] for row in record["proof"]["rows"]] == [True, False]


def test_hostile_names_command_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = block("a\x1b[2Jb\n", 3, 1)
    lines = shown(80, monkeypatch, llama(streams=(), blocks=(evil,)))
    assert "\x1b" not in "".join(lines)
    assert sum("Sym(3)" in line for line in lines) == 1
