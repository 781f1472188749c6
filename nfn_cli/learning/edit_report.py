"""What a head that edits INRs is worth: the edited networks' pictures against the edited pictures, and its
equivariance."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights, joined, pixel_grid
from nfn_cli.errors import DataError
from nfn_cli.learning.batches import batches
from nfn_cli.learning.editor_fit import editor_error
from nfn_cli.learning.metrics import Estimate, bootstrap, mean_absolute_error
from nfn_cli.learning.settings import EvaluateSettings
from nfn_cli.learning.transformed import in_float64, transformed
from nfn_cli.nn import Head
from nfn_cli.nn.inr.sine_chain import read_tensors, sine_values
from nfn_cli.nn.names import EDITS
from nfn_cli.precision import has_float64
from nfn_cli.symmetry import act
from nfn_cli.zoo import LabelledNetworks

# Networks on which equivariance is measured, the first ones.
_TRANSFORMED = 32
_TOGETHER = 16


@dataclass(frozen=True)
class EditReport:
    """A head measured on `networks` INRs of `pictures` pictures; 95 % bootstrap intervals over pictures.

    Mean squared errors are over pixels and channels, for values in [0, 1]; for values in [-1, 1] they are four times as
    large. The target is the edited picture, see `target`.

    Attributes:
        edit: what the head does.
        target: "rendered" (the picture that the unedited network shows, edited) or "given" (a true picture, edited).
        before, after: error of the unedited and of the edited networks' pictures.
        psnr: of the edited networks' pictures, mean over networks, in dB.
        change: of the weights, ‖edited − U‖ / ‖U‖, mean over networks.
        transformed: networks on which equivariance was measured, under permutations, signs and phases.
        weight_drift: the largest |edit(g·U) − g·edit(U)|, relative to the largest |edit(U)| of the same network.
        picture_drift: the largest difference between the pictures of edit(g·U) and edit(U), in [-1, 1].
        seconds: an INR, of the processor's time, in float32.
    """

    head: str
    edit: str
    target: str
    networks: int
    pictures: int
    before: Estimate
    after: Estimate
    psnr: float
    change: float
    transformed: int
    weight_drift: float
    picture_drift: float
    seconds: float

    def figures(self) -> list[tuple[str, str]]:
        """Names of figures and their values."""
        return [
            ("edited networks", scientific(self.after)),
            ("unedited networks, for comparison", scientific(self.before)),
        ]


@dataclass(frozen=True)
class Measured:
    """For each of a head's networks: error unedited and edited [networks], float64, and the edited weights."""

    before: Tensor
    after: Tensor
    point: NetworkWeights
    seconds: float


def scientific(estimate: Estimate) -> str:
    """A small figure with its interval, such as `3.1e-03 [3.0e-03, 3.2e-03]`."""
    return f"{estimate.value:.2e} [{estimate.low:.2e}, {estimate.high:.2e}]"


def measure_editor(
    head: Head,
    networks: LabelledNetworks,
    settings: EvaluateSettings | None = None,
    others: Mapping[str, LabelledNetworks] | None = None,
    *,
    pictures: Tensor | None = None,
    most_transformed: int = _TRANSFORMED,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> EditReport:
    """Measure a loaded head on networks in memory: errors in float32, equivariance in float64 where the device can.

    Args:
        settings: `seed` of these counts.
        others: not used, since an editor flags nothing.
        pictures: what the networks were fitted to, [networks, C, height, width] in [-1, 1]; without them, the target is
            the edit of what the unedited networks show, of the head's own picture size.
        most_transformed: networks on which equivariance is measured, the first ones.
        on_stage: called with what comes next, such as `editing` or `bootstrap`.

    Raises:
        DataError: a network whose edited picture is not finite.
        HeadError: the head does not read them.
    """
    settings = settings or EvaluateSettings()
    on_stage("editing")
    found = edit_all(head.to(torch.float32), networks, pictures)
    on_stage("editing transformed networks")
    device = next(head.model.parameters()).device.type
    exact = head.to(torch.float64) if has_float64(device) else head
    weight_drift, picture_drift = _drift(exact, networks.first(most_transformed).point, settings.seed)
    runs = networks.runs
    on_stage("bootstrap")
    zero = torch.zeros(len(networks), dtype=torch.float64)
    return EditReport(
        head=head.name,
        edit=head.config.details.edit,
        target="rendered" if pictures is None else "given",
        networks=len(networks),
        pictures=len(set(runs)),
        before=bootstrap(mean_absolute_error, zero, found.before, runs),
        after=bootstrap(mean_absolute_error, zero, found.after, runs),
        psnr=(-10 * found.after.clamp_min(1e-20).log10()).mean().item(),
        change=_relative_change(networks.point, found.point),
        transformed=min(most_transformed, len(networks)),
        weight_drift=weight_drift,
        picture_drift=picture_drift,
        seconds=found.seconds / len(networks),
    )


def edit_all(head: Head, networks: LabelledNetworks, pictures: Tensor | None = None) -> Measured:
    """Edit networks, a batch at a time, and compare the pictures.

    Raises:
        DataError: a network whose edited picture is not finite.
        HeadError: the head does not read them.
    """
    before, after, points = [], [], []
    picture, edit = head.config.details.picture, EDITS[head.config.details.edit]
    seconds = 0.0
    parts = repeat(None) if pictures is None else pictures.split(_TOGETHER)
    for point, part in zip(batches(networks.point, _TOGETHER), parts, strict=False):
        started = time.process_time()
        new = head.predict(point)
        seconds += time.process_time() - started
        shown = _pictures(point, picture)
        given = shown.clamp(-1, 1) if part is None else part.flatten(2).double()
        target = edit(given.unflatten(2, picture)).flatten(2)
        before.append(editor_error(shown, target))
        after.append(editor_error(_pictures(new, picture), target))
        points.append(new)
    errors = torch.cat(after)
    bad = (~errors.isfinite()).nonzero()
    if len(bad):
        file = networks.files[int(bad[0])]
        raise DataError(file, "the edited picture is not finite: weights beyond a float's range", "leave it out")
    return Measured(torch.cat(before), errors, joined(points), seconds)


def _drift(head: Head, point: NetworkWeights, seed: int) -> tuple[float, float]:
    """How far editing and transforming are from commuting: of weights, and of pictures."""
    exact = in_float64(point)
    element, other = transformed(exact, torch.Generator().manual_seed(seed), phase=True)
    new, first = _edited(head, exact), _edited(head, other)
    second = act(element, new)
    size = torch.stack([tensor.flatten(1).abs().amax(1) for tensor in second.tensors.values()]).amax(0)
    gaps = [(first.tensors[n] - tensor).flatten(1).abs().amax(1) for n, tensor in second.tensors.items()]
    picture = head.config.details.picture
    pictures = _pictures(first, picture) - _pictures(new, picture)
    return (torch.stack(gaps).amax(0) / size).max().item(), pictures.abs().max().item()


def _edited(head: Head, point: NetworkWeights) -> NetworkWeights:
    return joined([head.predict(part) for part in batches(point, _TOGETHER)])


def _pictures(point: NetworkWeights, picture: tuple[int, int]) -> Tensor:
    """Values float64 [networks, C, P]."""
    places, omega_0 = pixel_grid(*picture), point.architecture.omega_0
    parts = (read_tensors(part, torch.float64) for part in batches(point, _TOGETHER))
    return torch.cat([sine_values(part, places, omega_0) for part in parts])


def _relative_change(before: NetworkWeights, after: NetworkWeights) -> float:
    pairs = [(before.tensors[name].double().flatten(1), after.tensors[name].flatten(1)) for name in before.tensors]
    change = sum((new - old).square().sum(1) for old, new in pairs)
    size = sum(old.square().sum(1) for old, _ in pairs)
    assert isinstance(change, Tensor) and isinstance(size, Tensor)
    return (change / size.clamp_min(1e-300)).sqrt().mean().item()
