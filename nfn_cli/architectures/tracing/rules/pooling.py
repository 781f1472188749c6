"""Pooling and resampling: along axes that have no neurons."""

from __future__ import annotations

import re
from typing import Any

from nfn_cli.architectures.tracing.rules.elementwise import refuse_zeros
from nfn_cli.architectures.tracing.rules.registry import Call, as_value, rule
from nfn_cli.architectures.tracing.trace import Trace
from nfn_cli.architectures.tracing.values import Unsupported, Value

_MAX = ("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
        "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool1d_with_indices")  # fmt: skip
_MEAN = (
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d",
    "_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d", "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
)  # fmt: skip


def _pooled(call: Call, x: Value) -> Any:
    found = re.search(r"(\d)d", call.name)
    assert found is not None
    rank = len(x.shape)
    spatial = set(range(rank - int(found[1]), rank))
    for axis in spatial:
        if x.factor_on(axis) is not None or any(array.shape[axis] > 1 for _, array in x.terms):
            raise Unsupported("neurons along an axis that is pooled")
    outputs = [Value(call.shape, x.factors, x.terms, x.constant - spatial)]
    outputs += [Value(shape, x.factors) for shape in call.shapes[1:]]  # where they were found
    return outputs if len(outputs) > 1 else outputs[0]


@rule(*_MAX)
def max_pool(trace: Trace, call: Call) -> Any:
    """The largest of several: no sign may change."""
    x = as_value(trace, call.args[0])
    refuse_zeros(x)
    trace.still(x, logs=False)
    return _pooled(call, x)


@rule(*_MEAN)
def mean_pool(trace: Trace, call: Call) -> Any:
    """Weighted sums along space."""
    return _pooled(call, as_value(trace, call.args[0]))
