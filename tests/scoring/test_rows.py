"""One row a file, in the order of input, whatever the files are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import read_weights, stack
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.nn import load_head
from nfn_cli.scoring import ScoreRow, chunks, local, predicting, score

Save = Callable[..., Path]


def rows_of(paths: list[Path], **options: object) -> list[ScoreRow]:
    return list(score(paths, device="cpu", **options))  # type: ignore[arg-type]


@pytest.fixture
def mixed(save: Save, tmp_path: Path) -> list[Path]:
    """Networks of several architectures and activations in turn, and bad files among them."""
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("hello")
    return [
        save("0.safetensors", seed=0),
        save("1.safetensors", activation="tanh", seed=1),
        tmp_path / "empty.pt",
        save("3.safetensors", hidden=9, seed=3),
        save("4.safetensors", conv=True, activation="tanh", seed=4),
        save("5.safetensors", seed=5),
        tmp_path / "text.pt",
        save("7.safetensors", activation="gelu"),
        save("8.safetensors", hidden=9, seed=8),
        tmp_path / "missing.pt",
        save("10.safetensors", seed=10),
        save("11.safetensors", change=lambda tensors: tensors | {"0.bias": torch.full((6,), torch.nan)}),
        save("12.safetensors", activation="tanh", conv=True, seed=12),
    ]


BAD = [2, 6, 7, 9, 11]


@pytest.mark.usefixtures("shipped")
def test_rows_come_in_the_order_of_input_and_bad_files_stop_no_other(mixed: list[Path]) -> None:
    rows = rows_of(mixed)
    assert [row.path for row in rows] == [str(path) for path in mixed]
    assert [position for position, row in enumerate(rows) if row.error] == BAD
    for row in rows:
        assert (row.accuracy is None) is (row.error is not None)


@pytest.mark.usefixtures("shipped")
def test_each_network_is_read_by_the_first_head_that_fits(mixed: list[Path]) -> None:
    heads = {position: row.head for position, row in enumerate(rows_of(mixed)) if row.error is None}
    relu, tanh, conv = "a-relu", "b-tanh", "c-conv"
    assert heads == {0: relu, 1: tanh, 3: relu, 4: conv, 5: relu, 8: relu, 10: relu, 12: conv}


@pytest.mark.usefixtures("shipped")
def test_a_network_gets_the_same_row_alone_and_in_a_batch(mixed: list[Path]) -> None:
    for row in rows_of(mixed):
        (alone,) = rows_of([Path(row.path)])
        assert (alone.head, alone.in_distribution, alone.error) == (row.head, row.in_distribution, row.error)
        if row.error is None:
            for name in ("accuracy", "low", "high"):
                assert getattr(alone, name) == pytest.approx(getattr(row, name), abs=1e-5)


@pytest.mark.usefixtures("shipped")
def test_predictions_are_the_heads_own_and_differ(mixed: list[Path], shipped: Path) -> None:
    rows = rows_of(mixed)
    chosen = [0, 5, 10]
    point = stack([read_weights(read_checkpoint(mixed[i])).weights for i in chosen])
    predictions = load_head(str(shipped / "a-relu")).predict(point)
    assert [rows[i].accuracy for i in chosen] == pytest.approx(predictions.accuracy.tolist(), abs=1e-5)
    assert len({row.accuracy for row in rows if row.error is None}) == len(mixed) - len(BAD)


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    ("files", "size", "weights", "batch"),
    [(1, 1 << 26, 1 << 21, 512), (3, 1, 1 << 21, 512), (64, 1 << 26, 80, 512), (64, 1 << 26, 1 << 21, 1)],
)
def test_how_many_are_read_and_computed_at_once_does_not_matter(
    files: int, size: int, weights: int, batch: int, mixed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows_of(mixed)
    monkeypatch.setattr(chunks, "_MOST_FILES", files)
    monkeypatch.setattr(chunks, "_MOST_BYTES", size)
    monkeypatch.setattr(predicting, "_LARGEST_BATCH", weights)
    for row, other in zip(rows_of(mixed, batch_size=batch), expected, strict=True):
        assert (row.path, row.head, row.error) == (other.path, other.head, other.error)
        assert row.accuracy == pytest.approx(other.accuracy, abs=1e-6)


@pytest.mark.usefixtures("shipped")
def test_rows_come_before_all_files_are_read(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "_MOST_FILES", 2)
    read: list[str] = []
    read_chunk = local.read_chunk

    def watched(sources: list[Any], settings: Any) -> Any:
        read.extend(source.path for source in sources)
        return read_chunk(sources, settings)

    monkeypatch.setattr(local, "read_chunk", watched)
    paths = [save(f"{number}.safetensors", seed=number) for number in range(5)]
    told: list[int] = []
    rows = score(paths, device="cpu", on_row=lambda: told.append(len(read)))
    assert read == []
    next(rows)
    assert read == list(map(str, paths[:2]))
    assert len(list(rows)) == 4
    assert read == list(map(str, paths))
    assert told == [2, 2, 4, 4, 5]


@pytest.mark.usefixtures("shipped")
def test_the_interval_holds_the_prediction_and_stays_between_0_and_1(save: Save) -> None:
    rows = rows_of([save(f"{number}.safetensors", seed=number) for number in range(60)])
    for row in rows:
        assert row.accuracy is not None and row.low is not None and row.high is not None
        assert 0 <= row.low <= row.accuracy <= row.high <= 1
        assert row.low == pytest.approx(max(0, row.accuracy - 0.3), abs=1e-5)
        assert row.high == pytest.approx(min(1, row.accuracy + 0.3), abs=1e-5)
    lows, highs = [row.low for row in rows], [row.high for row in rows]
    assert min(lows) == 0 < max(lows) and min(highs) < 1 == max(highs)  # type: ignore[type-var, operator]


@pytest.mark.usefixtures("shipped")
def test_networks_like_the_population_are_in_it_and_others_not(save: Save) -> None:
    def aligned(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return tensors | {
            "0.weight": torch.tensor([0.0, 0.0, -9.0]).expand(6, 3).contiguous(),
            "0.bias": torch.zeros(6),
        }

    usual = rows_of([save(f"{number}.safetensors", seed=number) for number in range(40)])
    assert sum(row.in_distribution is True for row in usual) >= 36
    (strange,) = rows_of([save("strange.safetensors", change=aligned)])
    assert strange.in_distribution is False
    assert strange.accuracy is not None


@pytest.mark.usefixtures("shipped")
def test_no_path_gives_no_row() -> None:
    assert rows_of([]) == []
