"""From a zoo of INRs to a head that edits them, with its model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.errors import DataError
from nfn_cli.learning.inr.edit_card import editor_card
from nfn_cli.learning.inr.edit_evaluation import EditReport, measure_editor
from nfn_cli.learning.inr.edit_fit import EditFit, descend, editor_error, fit_painter, pictures_of, tune_steps
from nfn_cli.learning.places import require_head_place
from nfn_cli.nn import Accepted, EditDetails, Head, HeadConfig, kind_of, sizes_of
from nfn_cli.nn.inr.function_editor import FunctionEditor
from nfn_cli.nn.inr.pixel_grid import pixel_grid
from nfn_cli.nn.inr.sine_chain import read_tensors, require_sine_picture, sine_values
from nfn_cli.nn.names import EDITS
from nfn_cli.precision import has_float64
from nfn_cli.zoo import LabelledInrs, read_inrs
from nfn_cli.zoo.inr.record import read_inr_record

_FEWEST = 8


@dataclass(frozen=True)
class EditSettings:
    """What to fit.

    Attributes:
        edit: a name in `EDITS`.
        kind: of head, see `HEAD_KINDS`.
        sizes: of the module; None takes the usual ones of `kind` for the edit.
        picture: height and width of the pictures that the INRs were fitted to, in pixels.
        count: training networks to use, the first ones; None takes all.
        test_count: test networks to measure on, the first ones.
    """

    edit: str = "dilate"
    kind: str = "function-editor"
    sizes: Any = None
    picture: tuple[int, int] = (28, 28)
    fit: EditFit = field(default_factory=EditFit)
    count: int | None = 4_000
    test_count: int | None = 500
    activation: str | None = None


def train_editor(
    data: Path,
    out: Path,
    settings: EditSettings | None = None,
    *,
    labels: Path | None = None,
    device: str = "cpu",
    on_start: Callable[[int], None] = lambda steps: None,
    on_step: Callable[[float], None] = lambda loss: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> EditReport:
    """Fit a head to the training part of a zoo, measure it on the test part, and write its folder.

    Args:
        data, labels: as in `read_inrs`.
        out: the head's folder.
        on_start: told how often `on_step` will be called.
        on_step: told the loss after each epoch, and each step of tuning.
        on_stage: told what comes next: reading, drawing, fitting, tuning, what is measured, writing.

    Raises:
        DataError: unusable data, too few networks, a folder that cannot be written.
        HeadError: networks that are no pictures in sine networks.
    """
    settings = settings or EditSettings()
    on_stage("reading")
    networks = read_inrs(data, labels, activation=settings.activation)
    require_sine_picture(networks.point.architecture)
    require_head_place(out)
    parts = {}
    for name, count in (("train", settings.count), ("test", settings.test_count)):
        parts[name] = networks.part(name).first(count)
        if len(parts[name]) < _FEWEST:
            cause = f"only {len(parts[name])} networks fall into the {name} part (at least {_FEWEST})"
            raise DataError(data, cause, "give more networks, and some with `test` in the column split")
    head = fitted_editor(parts["train"], out.resolve().name, settings, data, device, on_start, on_step, on_stage)
    exact = head.to(torch.float64) if has_float64(device) else head
    report = measure_editor(exact, parts["test"], on_stage=on_stage)
    on_stage("writing")
    head.save(out, editor_card(head, report))
    return report


def fitted_editor(
    train: LabelledInrs,
    name: str,
    settings: EditSettings,
    data: Path,
    device: str = "cpu",
    on_start: Callable[[int], None] = lambda steps: None,
    on_step: Callable[[float], None] = lambda loss: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Head:
    """A head fitted to networks in memory, in float32; arguments as in `train_editor`."""
    sizes = _usual_sizes(settings) if settings.sizes is None else settings.sizes
    zoo = read_inr_record(data)
    record = {
        "data": data.resolve().name,
        "kind": kind_of(sizes),
        "networks": len(train),
        **asdict(settings.fit),
        **({"zoo": zoo} if zoo else {}),
    }
    architecture, fit = train.point.architecture, settings.fit
    config = HeadConfig(Accepted.of(architecture), sizes, EditDetails(settings.edit, settings.picture), fitted=record)
    torch.manual_seed(fit.seed)
    module = config.new_model().to(device)
    plain = read_tensors(train.point, torch.float32, device)
    places = pixel_grid(*settings.picture).to(device)
    on_stage("drawing")
    pictures = pictures_of(plain, places, architecture.omega_0)
    targets = _targets(pictures, settings)
    if isinstance(module, FunctionEditor):
        on_start(fit.epochs + fit.tuning)
        on_stage("fitting")
        fit_painter(module, pictures, targets, fit, on_step)
        if fit.tuning:
            on_stage("tuning")
        tune_steps(module, plain, targets, fit, on_step)
    else:
        on_start(fit.epochs)
        on_stage("fitting")
        _fit_end_to_end(module, train, targets, places, architecture, fit, on_step)
    return Head(name, config, module.eval())


def _usual_sizes(settings: EditSettings) -> Any:
    return sizes_of(settings.kind, context=EDITS[settings.edit].context)


def _fit_end_to_end(
    module: Any,
    train: LabelledInrs,
    targets: Tensor,
    places: Tensor,
    architecture: Architecture,
    fit: EditFit,
    on_epoch: Callable[[float], None],
) -> None:
    """Fit a module of one forward pass, by the mean squared error of the edited networks' pictures."""
    inputs: list[Tensor] = module.encode(train.point)
    module.fit_normalisation(inputs)

    def loss(chosen: Tensor) -> Tensor:
        own = [tensor[chosen] for tensor in inputs]
        new = [a + b for a, b in zip(own, module(own), strict=True)]
        return editor_error(sine_values(new, places, architecture.omega_0), targets[chosen]).mean()

    descend(module, len(targets), loss, fit, on_epoch, pixels=targets.shape[2])


def _targets(pictures: Tensor, settings: EditSettings) -> Tensor:
    """Edited pictures [networks, C, P] of pictures in that shape."""
    parts = pictures.unflatten(2, settings.picture).split(512)
    return torch.cat([EDITS[settings.edit](part.cpu()).flatten(2).to(part) for part in parts])
