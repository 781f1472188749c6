"""A network that is read by its module: the user's own, or a reference module that fits the file name for name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from nfn_cli.architectures.reading import Reading
from nfn_cli.architectures.stated import Stated
from nfn_cli.checkpoints import Checkpoint, TensorMap
from nfn_cli.errors import ArchitectureError, NfnError, UsageError

if TYPE_CHECKING:
    # Chains, which are read by the thousand, need none of these.
    from nfn_cli.architectures.classifier_module import PictureUse
    from nfn_cli.architectures.families import ReferenceModule
    from nfn_cli.architectures.labels import LabelledArchitecture
    from nfn_cli.architectures.tracing.export import Exported
    from nfn_cli.architectures.tracing.inputs import Example
    from nfn_cli.architectures.tracing.user_module import UserModule

_KEPT = 4  # architectures, for folders with files of a few kinds
COUNTS = "num_batches_tracked"  # BatchNorm counts, and computes nothing of it
REMEDY = "make the module that wrote the checkpoint"
_DATA_PARALLEL = ("module.", "_orig_mod.")

Run = Callable[[Mapping[str, Tensor]], list[Tensor]]


@dataclass(frozen=True)
class TracedNetwork:
    """A network whose group is proven operator by operator.

    Attributes:
        architecture: on the names of the file.
        reading: what it was read as, and what was assumed.
        how: by the user's module, by a configuration beside the file, or by names and shapes.
        names: the file's name of each tensor that the module has, by the module's.
        ties: names in the file that must be equal numbers.
        outputs: shapes of the real tensors that it computes from the inputs that it was traced on.
        config: the configuration, where one was used.
        runner: makes a function that computes the module's outputs in float64 from tensors by the file's names; it may
            take memory for all weights.
    """

    architecture: LabelledArchitecture
    reading: Reading
    how: Literal["model", "config", "names"]
    names: Mapping[str, str]
    ties: tuple[tuple[str, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    config: Mapping[str, Any] | None
    runner: Callable[[], Run] = field(repr=False)


@dataclass(frozen=True)
class Fitting:
    """A reference module that fits a file.

    Attributes:
        names: the file's name of each tensor, by the module's.
    """

    reference: ReferenceModule
    names: Mapping[str, str]


class NetworkTracer:
    """Traces networks of files, each architecture once.

    Args:
        model: `FILE.py:FACTORY` or `MODULE:FACTORY`, which runs the user's code, or such a module as it is made; None
            for reference modules alone.
        shape: of one input of that module.
        gauges: whether to look for what is shown and never acts, which takes time.
    """

    def __init__(
        self, model: str | UserModule | None = None, shape: tuple[int, ...] | None = None, *, gauges: bool = False
    ) -> None:
        self.model = model if isinstance(model, str | None) else model.spec
        self._made = None if isinstance(model, str | None) else model
        self._gauges = gauges
        self.shape = shape
        self._user: tuple[UserModule, Exported, LabelledArchitecture] | None = None
        self._use: PictureUse | None = None
        self._failed: NfnError | None = None
        self.unknown: str | None = None  # why the last configuration named no family
        self._known: dict[str, tuple[Exported, LabelledArchitecture]] = {}

    def by_model(self, checkpoint: Checkpoint) -> TracedNetwork:
        """The user's module, whose state dict must be the file's.

        Raises:
            UsageError: the module cannot be made, or is another one.
            ArchitectureError: it cannot be traced, or is not the file's, name for name.
        """
        from nfn_cli.architectures.tracing.export import export_user_module
        from nfn_cli.architectures.tracing.tracer import trace

        if self._user is None:
            with self._failing_once():
                made = self.user()
                exported = export_user_module(made, self.shape)
                self._user = (made, exported, trace(exported, gauges=self._gauges))
        user, exported, architecture = self._user
        names = list(self.names_in_model(checkpoint))
        assumed = () if exported.example.assumed is None else (f"traced on {exported.example.assumed}",)
        network = _network(checkpoint, names, exported, architecture, "model", assumed, f"the module of {self.model}")
        require_same_numbers(checkpoint, network.names, user.module.state_dict())
        return replace(network, runner=lambda: _runner(exported, exported.example, network.names))

    def user(self) -> UserModule:
        """The user's module, made once; it is not traced.

        Raises:
            UsageError: it cannot be made.
        """
        assert self.model is not None
        from nfn_cli.architectures.tracing.user_module import load_user_module

        if self._made is None:
            with self._failing_once():
                self._made = load_user_module(self.model)
        return self._made

    def picture_use(self) -> PictureUse:
        """How the user's module is used as a classifier of pictures, found once.

        Raises:
            UsageError: it cannot be made, or is no classifier of pictures.
        """
        from nfn_cli.architectures.classifier_module import user_use

        if self._use is None:
            with self._failing_once():
                self._use = user_use(self.user(), self.shape)
        return self._use

    def names_in_model(self, checkpoint: Checkpoint) -> dict[str, str]:
        """The file's name of each tensor, by the name in the user's module.

        Raises:
            UsageError: the module cannot be made.
            ArchitectureError: it is another network than the file's.
        """
        from nfn_cli.architectures.tracing.fitting import difference

        module = self.user().module
        found: str | None = None
        for names in _names_in_file(checkpoint):
            found = difference(module, dict(zip(names, shapes_of(checkpoint).values(), strict=True)))
            if found is None:
                return dict(zip(names, checkpoint.tensors, strict=True))
        raise ArchitectureError(checkpoint.path, f"{self.model} is another network: {found}", REMEDY)

    @contextmanager
    def _failing_once(self) -> Iterator[None]:
        """What failed for the first of many files fails for the others without being tried again."""
        if self._failed is not None:
            raise self._failed
        try:
            yield
        except NfnError as error:
            # Another one: this one's traceback holds what was read.
            self._failed = type(error)(error.subject, error.cause, error.remedy)
            raise

    def by_reference(self, checkpoint: Checkpoint, config: Mapping[str, Any] | None) -> TracedNetwork | None:
        """The reference module that a configuration names, or names and shapes; None where they match no known family.

        Raises:
            ArchitectureError: they match one, but the file has other tensors.
        """
        fitting = self.fitting(checkpoint, config)
        if fitting is None:
            return None
        found, names = fitting.reference, list(fitting.names)
        shapes = dict(zip(names, shapes_of(checkpoint).values(), strict=True))
        exported, architecture = self._traced(found, shapes, config)
        how: Literal["config", "names"] = "names" if config is None else "config"
        assumed = (("recognised by its names and shapes",) if config is None else ()) + found.assumptions
        text = found.text if config is None else f"{found.text} (config.json)"
        network = _network(checkpoint, names, exported, architecture, how, assumed, text)
        return replace(network, config=config, runner=lambda: _reference_runner(found, network.names))

    def fitting(self, checkpoint: Checkpoint, config: Mapping[str, Any] | None) -> Fitting | None:
        """The reference module that a configuration names, or names and shapes, without tracing it; None where they
        match no known family.

        Raises:
            ArchitectureError: they match one, but the file has other tensors.
        """
        from nfn_cli.architectures.families import ReferenceModule, Unknown, recognised

        if config is not None:
            self.unknown = None
        found: ReferenceModule | Unknown | None = None
        error: ArchitectureError | None = None
        for names in _names_in_file(checkpoint):
            shapes = dict(zip(names, shapes_of(checkpoint).values(), strict=True))
            try:
                found = recognised(shapes, config, subject=checkpoint.path)
            except ArchitectureError as refused:
                error = error or refused
                continue
            if isinstance(found, ReferenceModule):
                return Fitting(found, dict(zip(names, checkpoint.tensors, strict=True)))
        if error is not None:
            raise error
        self.unknown = found.cause if isinstance(found, Unknown) and config is not None else None
        return None

    def _traced(
        self, found: ReferenceModule, shapes: Mapping[str, Sequence[int]], config: Mapping[str, Any] | None
    ) -> tuple[Exported, LabelledArchitecture]:
        from nfn_cli.architectures.tracing.export import export
        from nfn_cli.architectures.tracing.tracer import trace

        key = json.dumps([sorted((name, list(shape)) for name, shape in shapes.items()), config], sort_keys=True)
        if key not in self._known:
            with torch.device("meta"):
                module = found.make().eval()
            args, kwargs = found.inputs(2, "meta")
            exported = export(module, args, kwargs, subject=found.family)
            if len(self._known) >= _KEPT:
                self._known.pop(next(iter(self._known)))
            self._known[key] = (exported, trace(exported, subject=found.family, gauges=self._gauges))
        return self._known[key]


def require_model_alone(stated: Stated) -> None:
    """Check that nothing contradicts that a module is the whole network.

    What else is stated (activation, pooling, frequencies) the module has itself; scripts give it to all files alike.

    Raises:
        UsageError: something is.
    """
    given = {"--chain": stated.chain, "--prefix": stated.prefix is not None}
    option = next((option for option in given if given[option]), None)
    if option is not None:
        raise UsageError(option, "has no effect with --model, which gives the whole network", "leave one of them out")


def with_model(error: ArchitectureError) -> ArchitectureError:
    """The error of a refused chain, with the remedy to give the network's module as well."""
    if "--model" in error.remedy:
        return error
    return ArchitectureError(error.subject, error.cause, f"{error.remedy}; or give its module: --model FILE.py:FACTORY")


def shapes_of(checkpoint: Checkpoint) -> dict[str, tuple[int, ...]]:
    """The shapes of a checkpoint's tensors, without reading one that is in its file; ties are listed too."""
    tensors = checkpoint.tensors
    if isinstance(tensors, TensorMap):
        return {name: tensors.shape(name) for name in tensors}
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def dtypes_of(checkpoint: Checkpoint) -> dict[str, torch.dtype]:
    """The dtypes of a checkpoint's tensors, without reading one that is in its file."""
    tensors = checkpoint.tensors
    if isinstance(tensors, TensorMap):
        return {name: tensors.dtype(name) for name in tensors}
    return {name: tensor.dtype for name, tensor in tensors.items()}


def _names_in_file(checkpoint: Checkpoint) -> Iterator[list[str]]:
    """The names as they may stand in the module: what all begin with may be the module's own, or a wrapper's."""
    rest = checkpoint.stripped
    while rest.startswith(_DATA_PARALLEL):
        rest = rest.partition(".")[2]
    seen: set[str] = set()
    while True:
        for prefix in (rest, ""):
            if prefix not in seen:
                seen.add(prefix)
                yield [prefix + name for name in checkpoint.tensors]
        if not rest:
            break
        rest = rest.partition(".")[2]
    if checkpoint.stripped not in seen:
        yield [checkpoint.stripped + name for name in checkpoint.tensors]


def _network(
    checkpoint: Checkpoint,
    names: Sequence[str],
    exported: Exported,
    architecture: LabelledArchitecture,
    how: Literal["model", "config", "names"],
    assumptions: tuple[str, ...],
    text: str,
) -> TracedNetwork:
    """The architecture on the names of a file."""
    from nfn_cli.architectures.tracing.outputs import is_real

    own = dict(zip(names, checkpoint.tensors, strict=True))
    tensors = tuple(
        replace(tensor, names=tuple(own[name] for name in tensor.names if name in own))
        for tensor in architecture.tensors
    )
    moved = {name for tensor in tensors for name in tensor.names}
    left = tuple(name for name in checkpoint.tensors if name not in moved and not name.endswith(COUNTS))
    held = exported.names.held
    ties = tuple(there for one in held if len(there := tuple(own[name] for name in one.stored if name in own)) > 1)
    given = (node.meta["val"] for node in exported.outputs)
    outputs = tuple(tuple(map(int, value.shape)) for value in given if is_real(value))
    reading = Reading(text, None, how != "names", assumptions, left)
    placed = replace(architecture, tensors=tensors, left=left)
    return TracedNetwork(placed, reading, how, own, ties, outputs, None, _no_runner)


def _no_runner() -> Run:
    raise AssertionError("a network without a function")


def require_same_numbers(checkpoint: Checkpoint, names: Mapping[str, str], state: Mapping[str, Tensor]) -> None:
    """Whole numbers of the module, such as tables of places, decide what is computed: the file must have the same.

    Raises:
        ArchitectureError: it has others.
    """
    for name, own in state.items():
        if name not in names or own.is_floating_point() or own.is_meta or name.endswith(COUNTS):
            continue
        if not torch.equal(checkpoint.tensors[names[name]].to(own.dtype), own.cpu()):
            raise ArchitectureError(checkpoint.path, f"{name} has other numbers than the module's", REMEDY)


def _runner(exported: Exported, example: Example, names: Mapping[str, str]) -> Run:
    from nfn_cli.architectures.tracing.inputs import with_random_numbers

    inputs = with_random_numbers(example, torch.Generator().manual_seed(0))

    def run(tensors: Mapping[str, Tensor]) -> list[Tensor]:
        state = {name: tensors[own] for name, own in names.items() if own in tensors}
        return exported.run(state, inputs.args, dict(inputs.kwargs))

    return run


def _reference_runner(found: ReferenceModule, names: Mapping[str, str]) -> Run:
    """The reference module once more, on the CPU, where its constants have values."""
    from nfn_cli.architectures.tracing.export import export
    from nfn_cli.architectures.tracing.inputs import Example

    args, kwargs = found.inputs(2, "cpu")
    exported = export(found.make().eval(), args, kwargs, subject=found.family)
    return _runner(exported, Example(args, kwargs), names)
