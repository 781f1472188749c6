"""`benchmarks/gpu.py` on the CPU, everything as small as can be."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

FILE = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program as a module, with sizes that take a moment."""
    spec = importlib.util.spec_from_file_location("gpu_benchmark", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "gpu_benchmark", module)  # dataclasses look themselves up
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "QUICK", replace(module.QUICK, batch=4, labelled=24))
    monkeypatch.setattr(module.Bench, "seconds", lambda self, work: (work(), 0.5)[1])
    return module


def test_heads_are_timed_and_what_they_say_is_measured(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {"predict-accuracy": ["monomial-nfn-relu", "any-classifier"], "classify-inr": ["inr-mnist"]}
    monkeypatch.setattr(bench, "shipped_heads_of", one.__getitem__)
    assert bench.main(["--device", "cpu", "--quick", "--only", "heads"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"cpu, {torch.get_num_threads()} threads, torch {torch.__version__}; ")
    plain, markdown = text.split("\n\n")[1:3]
    assert markdown.startswith("| section | what | figure | unit |\n|---|---|---|---|\n| heads | monomial-nfn-relu")
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines()[2:]]
    rates = [line for line in lines if line[3] == "networks/s at batch 4"]
    assert [own[2] for own in rates] == ["8"] * 4  # 4 networks in half a second, both heads and both formats
    taus = [float(line[2]) for line in lines if line[3] == "tau of 24"]
    shares = [float(line[2]) for line in lines if line[3] == "share right of 24"]
    assert len(taus) == len(shares) == 2 and min(taus) > 0.5 and min(shares) > 0.8
    (change,) = (float(line[2]) for line in lines if line[3] == "tau")
    assert change == pytest.approx(taus[1] - taus[0], abs=1e-3)
    assert len(plain.splitlines()) == len(lines)


def test_a_full_device_gets_smaller_batches(bench: ModuleType) -> None:
    point = bench.population_of(bench.load_head("monomial-nfn-relu", "cpu")).first(3).point
    tried: list[int] = []

    def predict(given: Any) -> None:
        tried.append(len(given.tensors["conv1.weight"]))
        if tried[-1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")

    assert len(bench.fitting(predict, point, 16).tensors["conv1.weight"]) == 4 and tried == [16, 8, 4]


def test_copies_without_cuda_are_timed_in_turn(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--device", "cpu", "--quick", "--only", "copies"]) == 0
    text = capsys.readouterr().out
    assert "| copies | in turn, as scored | 16 | networks/s |" in text and "needs CUDA" in text


def test_batches_in_a_stream_give_what_they_give_in_turn(
    bench: ModuleType, device_of_streams: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = bench.load_head("monomial-nfn-relu", device_of_streams)
    known = bench.population_of(head)
    parts = [bench.selected(known.point, list(range(at, at + 8))) for at in (0, 8, 16)]
    with torch.inference_mode():
        found = list(bench.in_stream(head, parts, device_of_streams))
        expected = [head.model(head.model.encode(part))[0].cpu() for part in parts]
    assert len(found) == 3
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=2e-3)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device_of_streams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """CUDA, or the CPU with streams that do nothing."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    if request.param == "cpu":

        class Stream:
            def wait_stream(self, other: Any) -> None: ...
            def __enter__(self) -> None: ...
            def __exit__(self, *_: object) -> None: ...

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: stream)
        monkeypatch.setattr(Tensor, "record_stream", lambda self, stream: None)
        monkeypatch.setattr(Tensor, "pin_memory", lambda self: self)
    return str(request.param)


def test_zoos_are_timed(bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def here(work: Any, shared: Any, jobs: Any, workers: int, on_steps: Any) -> Iterator[Any]:
        return ((job, work(shared, job, on_steps)) for job in jobs)

    monkeypatch.setattr("nfn_cli.zoo.generate.in_processes", here)  # processes take longer to start than this zoo
    assert bench.main(["--device", "cpu", "--quick", "--only", "zoos"]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| zoos")]
    assert [line[3] for line in lines] == [
        unit
        for own in ("network-samples/s", "network-steps/s", "network-epochs/s")
        for unit in ("runs/s |", f"{own} |")
    ]
    assert all(float(line[2].replace(",", "")) > 0 for line in lines)


def test_a_section_that_fails_is_named_and_the_others_go_on(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(own: Any) -> Iterator[Any]:
        yield own.row("before", "1")
        raise RuntimeError("no kernel image\nmore")

    monkeypatch.setitem(bench.SECTIONS, "copies", fail)
    monkeypatch.setitem(bench.SECTIONS, "zoos", lambda own: iter([own.row("after", "2", "networks/s")]))
    assert bench.main(["--device", "cpu", "--quick", "--only", "copies", "--only", "zoos"]) == 1
    text = capsys.readouterr().out
    assert "copies  before  1\nzoos    after   2  networks/s\n" in text
    assert text.endswith("\nskipped: copies: RuntimeError: no kernel image\n")
