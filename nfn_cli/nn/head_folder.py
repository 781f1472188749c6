"""A head on disk: a folder with `config.yaml` (what it reads, its sizes, how it was fitted), `model.safetensors` (every
tensor) and `README.md` (its model card)."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from nfn_cli.checkpoints import save_tensors, write_text_atomically
from nfn_cli.errors import HeadError, NfnError, shown
from nfn_cli.folders import make_folder
from nfn_cli.records import read_yaml, yaml_text

CONFIG_FILE = "config.yaml"
MODEL_FILE = "model.safetensors"
CARD_FILE = "README.md"
# What a head is for, where its configuration says nothing of it.
_FIRST_TASK = "predict-accuracy"
# What tensors were called in folders of earlier versions.
_FORMER = {"population.": "ood_detector."}
_BLOCK = 1 << 20

Module = TypeVar("Module", bound=nn.Module)


def write_folder(folder: Path, record: Mapping[str, Any], model: nn.Module, card: str) -> None:
    """Write a head's folder, real numbers as float32; `config.yaml` comes last, so that a folder with one is complete.

    Args:
        record: plain values for `config.yaml`; `kind` among them.

    Raises:
        DataError, CheckpointError: the folder or a file cannot be written.
    """
    make_folder(folder)
    tensors = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_tensors(folder / MODEL_FILE, tensors, {"kind": record["kind"]}, overwrite=True)
    write_text_atomically(folder / CARD_FILE, card, overwrite=True)
    write_text_atomically(folder / CONFIG_FILE, yaml_text(record), overwrite=True)


def read_record(folder: Path) -> dict[str, Any]:
    """`config.yaml` of a head's folder.

    Raises:
        HeadError: there is none, or it is not a head's.
    """
    path = folder / CONFIG_FILE
    remedy = "give the folder of a head written by `nfn train`, or the name of a shipped one"
    try:
        record = read_yaml(path)
    except FileNotFoundError as error:
        raise HeadError(folder, f"no head here (there is no {CONFIG_FILE})", remedy) from error
    except (OSError, ValueError) as error:
        raise HeadError(path, f"not a head's configuration ({error})", remedy) from error
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str):
        raise HeadError(path, "not a head's configuration (it names no kind)", remedy)
    return record


def contents_of(folder: Path) -> str:
    """SHA-256 of what a head computes with, its configuration and its weights; in hexadecimal.

    Raises:
        HeadError: there is none, or it cannot be read.
    """
    contents = hashlib.sha256()
    for name in (CONFIG_FILE, MODEL_FILE):
        contents.update(f"\n{name}\n".encode())
        try:
            if os.path.exists(folder / name) and not os.path.isfile(folder / name):
                raise OSError(errno.EINVAL, "not a file")  # a device has no end
            with (folder / name).open("rb") as file:
                while block := file.read(_BLOCK):
                    contents.update(block)
        except OSError as error:
            cause = f"no head here ({name} cannot be read: {error.strerror})"
            raise HeadError(folder, cause, "give a head's folder, or the name of a shipped one") from error
    return contents.hexdigest()


def task_of(record: Mapping[str, Any]) -> str:
    """The command that a head serves, such as `predict-accuracy`."""
    return str(record.get("task", _FIRST_TASK))


def load_model(folder: Path, make: Callable[[], Module], device: str) -> Module:
    """The tensors of a head in the module that its configuration asks for, in evaluation mode on a device.

    They lie in memory as those of a fitted head do, each from a multiple of 64 bytes on.

    Raises:
        HeadError: they do not fit the configuration, or are not finite numbers of the type that they should be.
    """
    path = folder / MODEL_FILE
    try:
        # On the meta device nothing is allocated, so a configuration that lies about sizes costs no memory.
        with torch.device("meta"):
            model = make()
        wanted = {name: (tensor.dtype, tensor.shape) for name, tensor in model.state_dict().items()}
        # Copied, since they begin anywhere in the file, and some products of matrices sum in an order that depends on
        # where their factors begin: with them a loaded head would differ from the saved one in the last bits.
        tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
        model.load_state_dict({_present(name): tensor for name, tensor in tensors.items()}, assign=True)
    except (OSError, SafetensorError, RuntimeError, TypeError, OverflowError) as error:
        # The last two are those of sizes beyond 64 bits.
        cause = f"unreadable tensors, or not those of {CONFIG_FILE} ({error})"
        raise HeadError(path, cause, "fetch the head again, or fit it again if another nfn-cli did") from error
    except NfnError as error:
        raise HeadError(folder / CONFIG_FILE, f"{error.subject}: {error.cause}", "fetch the head again") from error
    for name, tensor in tensors.items():
        kind, shape = wanted[_present(name)]
        if tensor.shape != shape:  # PyTorch takes a list of numbers for one
            cause = f"of shape {list(tensor.shape)}, not {list(shape)}"
        elif tensor.dtype is not kind or not bool(tensor.isfinite().all()):
            cause = f"not finite {str(kind).removeprefix('torch.')}"
        else:
            continue
        raise HeadError(path, f"tensor {shown(name)} is {cause}", "fetch the head again")
    return model.eval().to(device)


def _present(name: str) -> str:
    """What a tensor is called today."""
    former = next((own for own in _FORMER if name.startswith(own)), "")
    return _FORMER.get(former, "") + name.removeprefix(former)
