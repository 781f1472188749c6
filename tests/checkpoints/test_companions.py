"""What training programs save beside a checkpoint is passed over, unless it is named."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.checkpoints import find_checkpoints, read_checkpoint
from nfn_cli.errors import CheckpointError

Nfn = Callable[..., tuple[int, str, str]]
Write = Callable[..., Path]
StateDict = OrderedDict[str, Tensor]

COMPANIONS = (
    *("optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt", "training_args.bin"),
    *("rng_state.pth", "rng_state_0.pth", "rng_state_12.pth"),
    *("optimizer_1.bin", "scheduler.bin", "scheduler_1.bin", "sampler.bin", "sampler_1.bin"),
    *("dl_state_dict.bin", "random_states_0.pkl"),
    "zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt",
)
# Networks, for all one knows.
OTHERS = (
    *("my_optimizer.pt", "optimizer.safetensors", "optimizer-2.pt", "Optimizer.pt", "optimizer.pt.pt"),
    *("mp_rank_00_model_states.pt", "rng_state_a.pth", "sampler.pt", "scaler.bin", "training_args.pt"),
)


@pytest.fixture
def folder(tmp_path: Path, state_dict: StateDict, write: Write) -> Path:
    """A folder as the Trainer leaves it."""
    (tmp_path / "run").mkdir()
    write(tmp_path / "run" / "model.bin", state_dict, "torch")
    for name in COMPANIONS:
        (tmp_path / "run" / name).write_bytes(b"\x80\x04N.")
    return tmp_path / "run"


def test_companions_are_passed_over_where_a_folder_is_walked(folder: Path) -> None:
    (folder / "global_step10").mkdir()
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_optim_states.pt"):
        (folder / "global_step10" / name).touch()
    network = folder / "global_step10" / "mp_rank_00_model_states.pt"
    assert find_checkpoints([folder.parent]) == [network, folder / "model.bin"]


def test_companions_are_passed_over_where_a_folder_stands_for_its_checkpoint(
    folder: Path, state_dict: StateDict
) -> None:
    checkpoint = read_checkpoint(folder)
    assert checkpoint.path == folder / "model.bin"
    assert list(checkpoint.tensors) == list(state_dict)


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_companion_alone_is_no_checkpoint_of_its_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    told = rf"no checkpoint in this folder \({name} is a companion of one\); name the file if it is a network"
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match=told):
        find_checkpoints([tmp_path])


@pytest.mark.parametrize("name", OTHERS)
def test_a_name_that_only_resembles_a_companions_counts(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert find_checkpoints([tmp_path]) == [tmp_path / name]


def test_a_companion_in_a_subfolder_is_named_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    for name in (".git", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "optimizer.pt").touch()
    with pytest.raises(CheckpointError, match=r"optimizer\.pt is a companion"):
        find_checkpoints([tmp_path])
    (tmp_path / "a" / "optimizer.pt").unlink()
    with pytest.raises(CheckpointError, match=r"no checkpoint in this folder; looked for"):
        find_checkpoints([tmp_path])


def test_a_network_called_like_a_companion_is_read_by_name(tmp_path: Path, state_dict: StateDict, write: Write) -> None:
    path = write(tmp_path / "optimizer.pt", state_dict, "torch")
    assert find_checkpoints([path]) == [path]
    assert list(read_checkpoint(path).tensors) == list(state_dict)


def test_a_companion_that_is_named_fails_with_its_own_cause(tmp_path: Path) -> None:
    torch.save({"state": {}, "param_groups": [{"lr": 0.1}]}, tmp_path / "optimizer.pt")
    with pytest.raises(CheckpointError, match=r"optimizer\.pt: only an optimizer's state in it"):
        read_checkpoint(tmp_path / "optimizer.pt")


def test_scoring_passes_companions_over_and_says_so(tmp_path: Path, nfn: Nfn) -> None:
    (tmp_path / "optimizer.pt").touch()
    code, _, err = nfn("predict-accuracy", tmp_path, "--device", "cpu", "--quiet")
    assert code == 3
    assert err == (
        f"nfn: {tmp_path}: no checkpoint in this folder (optimizer.pt is a companion of one); "
        "name the file if it is a network all the same\n"
    )
