"""torchvision beside a build of torch that its compiled operators do not fit: their schemas are declared, not run.

Importing torchvision registers gradients and meta functions for its operators, and fails where they are unknown. The
classification networks use none of them.

Usage: `torchvision = declared_torchvision()` before anything that imports torchvision.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import pytest
import torch

_ROI = "Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_GRAD = "Tensor grad, Tensor rois"
_BACK = "float spatial_scale, SymInt pooled_height, SymInt pooled_width"
_INPUT = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
_DEFORM = (
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, SymInt dilation_w, "
    "SymInt groups, SymInt offset_groups, bool use_mask"
)
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    f"roi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"qroi_align({_ROI}, int sampling_ratio, bool aligned) -> Tensor",
    f"ps_roi_align({_ROI}, int sampling_ratio) -> (Tensor, Tensor)",
    f"roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"ps_roi_pool({_ROI}) -> (Tensor, Tensor)",
    f"_roi_align_backward({_GRAD}, {_BACK}, {_INPUT}, int sampling_ratio, bool aligned) -> Tensor",
    f"_ps_roi_align_backward({_GRAD}, Tensor mapping, {_BACK}, int sampling_ratio, {_INPUT}) -> Tensor",
    f"_roi_pool_backward({_GRAD}, Tensor argmax, {_BACK}, {_INPUT}) -> Tensor",
    f"_ps_roi_pool_backward({_GRAD}, Tensor mapping, {_BACK}, {_INPUT}) -> Tensor",
    f"deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {_DEFORM}) -> Tensor",
    "_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
    f"{_DEFORM}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    "_cuda_version() -> int",
)
_declared: list[torch.library.Library] = []  # kept: what a library declares goes with it


def declared_torchvision() -> ModuleType:
    """torchvision, imported; the test is skipped where it is not installed."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed", allow_module_level=True)
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:  # its operators do not fit this torch, and are unknown
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for schema in _SCHEMAS:
        library.define(schema)
    _declared.append(library)
    return importlib.import_module("torchvision")
