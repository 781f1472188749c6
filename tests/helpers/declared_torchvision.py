"""torchvision and timm beside a torch that torchvision's operators were not built for: their schemas are declared.

torchvision registers meta kernels for its operators when it is imported, and fails where nobody has declared them. Its
networks need none of them.
"""

from __future__ import annotations

import contextlib
import importlib
from types import ModuleType

import pytest
import torch

_ROI = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_BACK = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_SIZES = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias"
_STEPS = (
    "SymInt sh, SymInt sw, SymInt ph, SymInt pw, SymInt dh, SymInt dw, SymInt groups, SymInt offsets, bool use_mask"
)
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"qroi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_align_backward(Tensor grad, Tensor rois, {_BACK}, {_SIZES}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"_roi_pool_backward(Tensor grad, Tensor rois, Tensor argmax, {_BACK}, {_SIZES}) -> Tensor",
    f"ps_roi_align({_ROI}, int sampling_ratio) -> (Tensor, Tensor)",
    f"_ps_roi_align_backward(Tensor grad, Tensor rois, Tensor map, {_BACK}, int sampling_ratio, {_SIZES}) -> Tensor",
    f"ps_roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"_ps_roi_pool_backward(Tensor grad, Tensor rois, Tensor map, {_BACK}, {_SIZES}) -> Tensor",
    f"deform_conv2d({_DEFORM}, {_STEPS}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {_DEFORM}, {_STEPS}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "_cuda_version() -> int",
)
_declared: list[torch.library.Library] = []  # a schema lives as long as its library


def imported(name: str) -> ModuleType:
    """Import torchvision, timm or a module of theirs; the test is skipped where that cannot be done."""
    try:
        return _imported(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported: {error}", allow_module_level=True)


def declared_torchvision() -> ModuleType:
    """Import torchvision; the test is skipped where that cannot be done."""
    return imported("torchvision")


def make_importable() -> None:
    """Let others import torchvision, where it is installed: transformers does for some of its classes."""
    with contextlib.suppress(ImportError, RuntimeError):
        _imported("torchvision")


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    _declare()
    return importlib.import_module(name)


def _declare() -> None:
    if _declared:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    _declared.append(library)
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            library.define(schema)
