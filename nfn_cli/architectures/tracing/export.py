"""A module as a graph of operators, by `torch.export`: its tensors by the names of the state dict, places, a run of it.

Modules on the meta device are exported without any numbers, others without a copy of theirs.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from nfn_cli.architectures.tracing.flat_graph import changed_placeholders, flattened, operator_name
from nfn_cli.architectures.tracing.float64_run import run_in_float64
from nfn_cli.architectures.tracing.inputs import Example, examples, mapped, tensors_in
from nfn_cli.architectures.tracing.naming import Held, Names, memory_of, names_of
from nfn_cli.architectures.tracing.outputs import all_tensors, is_real
from nfn_cli.architectures.tracing.user_code import UserCodeError, user_code
from nfn_cli.architectures.tracing.user_module import OPTION, UserModule
from nfn_cli.errors import ArchitectureError, UsageError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_REMEDY = "give example inputs by the factory, or --input-shape"
_OTHER = "give inputs that its forward pass takes, and make that one that torch.export traces"
_CALL = re.compile(r"@\d+")  # of a module that is called several times


@dataclass(frozen=True)
class Placeholder:
    """What goes into the graph at one place.

    Attributes:
        kind: parameter, buffer, constant (a tensor that is in no state dict, such as a mask made in the forward pass)
            or input; other for what is no tensor of the module's.
        name: of a parameter or buffer, its first in the state dict; of a constant, where the module has it.
        held: the parameter or buffer.
        value: the numbers of constants, of buffers that are not in the state dict, and of stored buffers of whole
            numbers (which hold for a file that has the same ones); None on the meta device.
    """

    kind: str
    name: str
    held: Held | None = None
    value: Tensor | None = None


@dataclass(frozen=True)
class Exported:
    """A module as a graph.

    Attributes:
        program: as torch.export gives it.
        graph: of its operators, without inner graphs for `no_grad` and `autocast` blocks.
        placeholders: by the names of the graph's placeholder nodes.
        outputs: nodes of the tensors that the module returns, in the order of `output_tensors`, with whole numbers.
        names: what the module holds.
        changed: names of the placeholder nodes whose numbers the forward pass changes in place.
        title: the module's class.
        on_meta: whether something of it, or of its inputs, is on the meta device, so that it cannot be run.
        example: what it was exported on.
    """

    program: ExportedProgram
    graph: fx.Graph
    placeholders: Mapping[str, Placeholder]
    outputs: tuple[fx.Node, ...]
    names: Names
    changed: frozenset[str]
    title: str
    on_meta: bool
    example: Example

    def place_of(self, node: fx.Node) -> str:
        """Where an operator stands, such as `layers.0.self_attn: aten.topk`."""
        stack = node.meta.get("nn_module_stack") or {}
        path = next((str(entry[0]) for entry in reversed(list(stack.values()))), "")
        path = _CALL.sub("", path).removeprefix("module").removeprefix(".")
        return f"{path or self.title}: {operator_name(node)}"

    def run(self, state: Mapping[str, Tensor], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """Run the graph in float64, on the CPU.

        Args:
            state: the weights, by a name of each parameter and persistent buffer. Of tied names the first counts that
                is there. Buffers that are not persistent may be given too.
            args, kwargs: of the shapes that it was exported on. They are not changed.

        Returns:
            The floating tensors that the module returns.

        Raises:
            ValueError: it was exported from the meta device, a weight is missing or of another shape, the inputs are
                of another form, or an operator cannot be run.
        """
        if self.on_meta:
            raise ValueError("it was exported from the meta device, where constants have no values")
        if set(kwargs) != set(self.example.kwargs):
            raise ValueError(f"keyword arguments of other names than {', '.join(self.example.kwargs) or 'none'}")
        inputs = iter(_leaves(args, {name: kwargs[name] for name in self.example.kwargs}))
        values: list[Any] = []
        for node in self.graph.nodes:
            if node.op != "placeholder":
                continue
            place = self.placeholders[node.name]
            value = next(inputs, None) if place.kind == "input" else self._weight(place, state)
            like = node.meta.get("val")
            if isinstance(like, Tensor) and (not isinstance(value, Tensor) or value.shape != like.shape):
                found = tuple(value.shape) if isinstance(value, Tensor) else "nothing"
                raise ValueError(f"{place.name or node.name} is {found}, not {tuple(like.shape)}")
            values.append(value)
        return run_in_float64(self.program.graph_module, self.graph, self.outputs, values, self.changed)

    @staticmethod
    def _weight(place: Placeholder, state: Mapping[str, Tensor]) -> Tensor | None:
        if place.held is not None:
            given = next((state[name] for name in (*place.held.stored, *place.held.names) if name in state), None)
            if given is not None:
                return given
            if place.held.stored:
                raise ValueError(f"the weights lack {place.name}")
        return place.value


def export(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None, *, subject: str = OPTION
) -> Exported:
    """Trace a module's forward pass into a graph of operators.

    Args:
        module: in evaluation mode; on the CPU, or on the meta device.
        args, kwargs: of one forward pass; for a module on the meta device, their shapes and dtypes count.
        subject: whose fault it is if that fails.

    Raises:
        ArchitectureError: it cannot be traced, or returns what is no tensor; with the first line of the cause.
    """
    return _export(module, Example(args, dict(kwargs or {})), subject, _OTHER)


def export_user_module(user: UserModule, shape: tuple[int, ...] | None = None) -> Exported:
    """Trace the user's module on their example inputs, on inputs of a shape, or on those that its first layer takes.

    What was taken for granted of the inputs is `example.assumed`.

    Raises:
        ArchitectureError: as in `export`.
        UsageError: a shape is given beside example inputs.
    """
    if user.example is not None:
        if shape is not None:
            raise UsageError("--input-shape", f"{user.spec} gives example inputs of its own", "leave it out")
        return _export(user.module, user.example, OPTION, _OTHER)
    first: ArchitectureError | None = None
    for example in examples(user.module, shape):
        try:
            return _export(user.module, example, OPTION, _REMEDY)
        except ArchitectureError as error:
            first = first or error
    if first is None:
        raise ArchitectureError(OPTION, f"{user.spec} does not state what inputs it takes", _REMEDY)
    raise first


class _Plain(nn.Module):
    """Returns the tensors of what a module returns: torch.export knows no classes of the user's."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = module.training

    def forward(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        return all_tensors(self.module(*args, **kwargs))


def _export(module: nn.Module, example: Example, subject: str, remedy: str) -> Exported:
    from torch import export as tracing

    if module.training:
        raise ValueError("the module is in training mode")
    # Until it is gone: `export` of old releases breaks operators into smaller ones.
    trace = getattr(tracing, "export_for_training", tracing.export)
    title = type(module).__name__
    args, kwargs = example.args, dict(example.kwargs)
    on_meta = any(tensor.is_meta for tensors in (module.parameters(), module.buffers()) for tensor in tensors)
    if on_meta:
        args, kwargs = mapped((args, kwargs), function=lambda tensor: tensor.to("meta"))
    on_meta = on_meta or any(tensor.is_meta for tensor in tensors_in((args, kwargs)))
    try:
        with user_code(), _silent(), _unchecked(), torch.no_grad(), ExitStack() as stack:
            if on_meta:  # constants that the forward pass makes have to lie there, too
                stack.enter_context(torch.device("meta"))
            program = trace(_Plain(module), args, kwargs, strict=False)
    except UserCodeError as error:
        on = f" on {example.assumed}" if example.assumed else ""
        raise ArchitectureError(subject, f"{title} cannot be traced{on} ({error})", remedy) from error
    graph = flattened(program.graph_module)
    names = names_of(module)
    outputs = _outputs(program, graph)
    if not any(is_real(node.meta["val"]) for node in outputs):
        raise ArchitectureError(subject, f"{title} returns no floating-point tensor", "make it return one")
    placeholders = {node.name: place for node, place in _placeholders(program, graph, names, on_meta)}
    _refuse_copies(program, module, subject)
    changed = frozenset(changed_placeholders(graph) | _rewritten(program))
    return Exported(program, graph, placeholders, outputs, names, changed, title, on_meta, example)


def _placeholders(
    program: ExportedProgram, graph: fx.Graph, names: Names, on_meta: bool
) -> Iterator[tuple[fx.Node, Placeholder]]:
    by_name = {name: held for held in names.held for name in held.names}
    nodes = [node for node in graph.nodes if node.op == "placeholder"]
    for node, spec in zip(nodes, program.graph_signature.input_specs, strict=True):
        name = (spec.target or "").removeprefix("module.")
        value = program.constants.get(spec.target or "")
        value = value if isinstance(value, Tensor) and not on_meta else None
        held = by_name.get(name)
        if held is not None:
            kind = "parameter" if held.is_parameter else "buffer"
            if held.stored:
                value = None if on_meta else _whole_numbers(program.state_dict.get(spec.target or ""))
            yield node, Placeholder(kind, held.name, held, value)
        elif spec.kind.name == "CONSTANT_TENSOR":
            yield node, Placeholder("constant", name, None, value)
        elif spec.kind.name == "USER_INPUT":
            yield node, Placeholder("input", node.name)
        else:
            yield node, Placeholder("other", name)


def _whole_numbers(stored: object) -> Tensor | None:
    """The numbers of a stored buffer of places or truth values; a file has to have the same."""
    if not isinstance(stored, Tensor) or stored.is_floating_point() or stored.is_complex():
        return None
    return stored.detach().clone()


def _refuse_copies(program: ExportedProgram, module: nn.Module, subject: str) -> None:
    """No constant may be a view of a weight: it would be traced as numbers that are always the same.

    Raises:
        ArchitectureError: one is.
    """
    weights = {memory_of(tensor): name for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    for spec in program.graph_signature.input_specs:
        value = program.constants.get(spec.target or "")
        if spec.kind.name != "CONSTANT_TENSOR" or not isinstance(value, Tensor):
            continue
        weight = None if memory_of(value) is None else weights.get(memory_of(value))
        if weight is not None:
            name = (spec.target or "").removeprefix("module.")
            cause = f"{type(module).__name__} uses {name}, a view of {weight} that is no parameter"
            raise ArchitectureError(subject, cause, f"use {weight} itself in the forward pass")


def _outputs(program: ExportedProgram, graph: fx.Graph) -> tuple[fx.Node, ...]:
    """Nodes of what the module returns; a graph without changes in place returns changed buffers beside it."""
    output = next(node for node in graph.nodes if node.op == "output")
    specs = program.graph_signature.output_specs
    return tuple(
        node
        for node, spec in zip(output.args[0], specs, strict=True)
        if spec.kind.name == "USER_OUTPUT" and isinstance(node, fx.Node)
    )


def _rewritten(program: ExportedProgram) -> set[str]:
    """Placeholders of buffers and inputs that such a graph returns changed."""
    signature = program.graph_signature
    targets = {spec.target for spec in signature.output_specs if spec.kind.name.endswith("MUTATION")}
    return {
        spec.arg.name
        for spec in signature.input_specs
        if (spec.target in targets or spec.arg.name in targets) and hasattr(spec.arg, "name")
    }


def _leaves(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    from torch.utils import _pytree

    return _pytree.tree_leaves((args, kwargs))


@contextmanager
def _silent() -> Iterator[None]:
    """Silence logs, warnings and output: torch.export prints much that does not concern the user."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _unchecked() -> Iterator[None]:
    """Distributions look at their parameters' values, which a trace does not have."""
    distribution = torch.distributions.Distribution
    before = distribution._validate_args
    distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        distribution.set_default_validate_args(before)
