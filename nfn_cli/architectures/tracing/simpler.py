"""Operators that are made of simpler ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree


def simpler_graph(node: fx.Node) -> fx.Graph | None:
    """The graph of the operators that one is made of, its tensors as placeholders; None where it is made of none.

    It is found on meta tensors, by the operator's own decomposition.
    """
    target: Any = node.target
    decompose = getattr(target, "decompose", None)
    if decompose is None or not isinstance(target, torch._ops.OpOverload):
        return None
    leaves, spec = _pytree.tree_flatten((node.args, dict(node.kwargs)), is_leaf=lambda part: isinstance(part, fx.Node))
    places = [place for place, part in enumerate(leaves) if isinstance(part, fx.Node)]
    likes = [leaves[place].meta.get("val") for place in places]
    if not all(isinstance(like, Tensor) for like in likes):
        return None

    def run(*tensors: Tensor) -> Any:
        own = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            own[place] = tensor
        args, kwargs = _pytree.tree_unflatten(own, spec)
        found = decompose(*args, **kwargs)
        if found is NotImplemented:
            raise NotImplementedError
        return found

    from torch.fx.experimental.proxy_tensor import make_fx

    inputs = [torch.empty(like.shape, dtype=like.dtype, device="meta") for like in likes]
    try:
        with torch.no_grad():
            graph = make_fx(run, pre_dispatch=False)(*inputs).graph
    except Exception:  # what cannot be taken apart has no rule
        return None
    if any(part.op == "call_function" and part.target is target for part in graph.nodes):
        return None
    return graph
