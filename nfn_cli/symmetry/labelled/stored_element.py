"""Elements on labels as files: safetensors, with the fingerprint of the network that they act on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.checkpoints import save_tensors
from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.labelled.element import Element, require_of
from nfn_cli.symmetry.labelled.fingerprint import fingerprint
from nfn_cli.symmetry.labelled.free_scales import free_logs, free_signs
from nfn_cli.symmetry.labelled.positions import used_variables
from nfn_cli.symmetry.labelled.unit_orders import orders_of
from nfn_cli.symmetry.labelled.use_plans import MOST
from nfn_cli.symmetry.stored_element import FINGERPRINT, KIND, LABELS, REMEDY, element_file

_VERSION = "1"


def save_labelled_element(
    path: Path, element: Element, architecture: LabelledArchitecture, *, overwrite: bool = False
) -> None:
    """Write an element for networks of an architecture.

    Raises:
        CheckpointError: the file exists (without `overwrite`) or cannot be written.
        ValueError: the element is of another architecture.
    """
    require_of(architecture, element)
    tensors = {
        "goes": torch.from_numpy(element.goes.astype(np.int32)),
        "logs": torch.from_numpy(element.logs.astype(np.float64)),
        "signs": torch.from_numpy(element.signs.astype(np.bool_)),
    }
    metadata = {"kind": KIND, LABELS: _VERSION, FINGERPRINT: fingerprint(architecture)}
    save_tensors(path, tensors, metadata, overwrite=overwrite)


def load_labelled_element(path: Path, architecture: LabelledArchitecture) -> Element:
    """Read an element that acts on an architecture.

    Raises:
        CheckpointError: no element, one of another version or architecture, or one that would change the network's
            function.
    """
    wanted = {
        "goes": (torch.int32, architecture.label_count),
        "logs": (torch.float64, architecture.scale_count),
        "signs": (torch.bool, architecture.scale_count),
    }
    metadata, tensors = element_file(path, lambda metadata, names: names & set(wanted) if LABELS in metadata else set())
    if metadata.get(LABELS) != _VERSION:
        found = "an older" if LABELS not in metadata else "another"
        raise CheckpointError(path, f"an element of {found} version, which does not act on labels", REMEDY)
    if metadata.get(FINGERPRINT) != fingerprint(architecture):
        raise CheckpointError(path, "an element of another architecture", REMEDY)
    for name, (dtype, count) in wanted.items():
        if name not in tensors or tensors[name].dtype != dtype or tensors[name].shape != (count,):
            kind = str(dtype).removeprefix("torch.")
            raise CheckpointError(path, f"its {name} are not {count} numbers of {kind}", REMEDY)
    element = Element(*(tensors[name].numpy() for name in wanted))
    if (reason := fault(element, architecture)) is not None:
        raise CheckpointError(path, reason, REMEDY)
    return element


def fault(element: Element, architecture: LabelledArchitecture) -> str | None:
    """Why an element is not of a network's group, or None."""
    require_of(architecture, element)
    if not bool(np.isfinite(element.logs).all()):
        return "a scale is no finite number"
    if element.logs.size and np.abs(element.logs).max() > MOST:
        return f"a scale beyond 2^{MOST} or below 2^-{MOST}"
    used = used_variables(architecture)
    if element.logs[~used].any() or element.signs[~used].any():
        return "a scale acts on nothing"
    try:
        orders_of(architecture, element.goes)
        free_logs(architecture.logs, element.logs, used)
        free_signs(architecture.signs, element.signs, used)
    except ValueError as error:
        return f"it would change the network's function ({error})"
    return None
