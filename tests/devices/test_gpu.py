"""What only a GPU can show: that it is full, and which processes open it."""

from __future__ import annotations

import os
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from on_devices import CLOSE, GPU, POPULATION, TESTS, Nfn
from safetensors.torch import load_file, save_file

from nfn_cli.scoring import ScoreRow, score

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(GPU != "cuda", reason="needs CUDA")]


def test_a_full_gpu_takes_smaller_batches() -> None:
    whole = list(score(POPULATION / "relu", device="cuda"))
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    taken = torch.cuda.memory_allocated()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (taken + (1 << 26)) / total))
    try:
        rows = list(score(POPULATION / "relu", device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert [row.error for row in rows] == [None] * len(whole)
    assert [row.accuracy for row in rows] == pytest.approx([row.accuracy for row in whole], abs=CLOSE)


def test_a_gpu_that_is_full_for_good_is_one_line(nfn: Nfn, tmp_path: Path) -> None:
    _, total = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1 / total)
    path = TESTS / "inrs" / "mnist-1.safetensors"
    try:
        finished = nfn("edit-inr", path, "--edit", "erode", "-o", tmp_path / "out.safetensors", "--device", "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert finished.code == 3 and list(tmp_path.iterdir()) == []
    assert len(finished.err.strip().splitlines()) == 1 and "too little memory" in finished.err


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_processes_that_only_read_never_open_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = load_file(TESTS / "samples" / "relu-1.safetensors")
    for number in range(64):
        save_file(one, tmp_path / f"{number:02}.safetensors", {"activation": "relu"})
    opened: list[str] = []
    seen = 0
    rows: list[ScoreRow] = []
    for row in score(tmp_path, head="small-cnn-relu", device="cuda", jobs=2, batch_size=8):
        rows.append(row)
        for child in active_children():
            seen += 1
            opened += [link for link in links(child.pid) if "nvidia" in link]
    assert len(rows) == 64 and not any(row.error for row in rows)
    assert seen and not opened


def links(process: int | None) -> list[str]:
    """What a process has open."""
    found = []
    try:
        for entry in os.scandir(f"/proc/{process}/fd"):
            found.append(os.readlink(entry.path))
    except OSError:  # it has ended, or closed one
        pass
    return found
