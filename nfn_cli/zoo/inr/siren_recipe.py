"""The recipe of zoos of implicit neural representations: a SIREN is fitted to every picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from nfn_cli.architectures import pixel_grid
from nfn_cli.errors import DataError
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.inr.fit import Engine, fit_sirens, peak_signal_to_noise
from nfn_cli.zoo.inr.labels import InrRow, read_inr_rows, write_inr_rows
from nfn_cli.zoo.inr.siren import Siren
from nfn_cli.zoo.recipe import Job, Made, Recipe
from nfn_cli.zoo.settings import ZooSettingsBase

# Networks of a job.
_PART = 1024
# With the range of a picture's values, for the commands that draw it.
METADATA = {"activation": "sin", "arch": "siren", "value_range": "-1 1"}

Fit = tuple[str, int, int]  # split, image, number of the fit


@dataclass(frozen=True)
class InrSettings(ZooSettingsBase):
    """What a zoo of INRs is made of. Two sittings with the same settings add up; counts and fits may grow.

    Attributes:
        data: image set, see `load_images`.
        count, test_count: pictures taken from its two parts, drawn at random.
        fits: independent fits to each picture.
        steps, learning_rate: of each fit.
        initial_scale: of the initial weights, relative to the usual ones.
    """

    recipe = "siren"
    growing = ("count", "test_count", "fits")
    unsaid: ClassVar[dict[str, Any]] = {"initial_scale": 1.0}

    data: str
    count: int
    test_count: int = 0
    fits: int = 1
    width: int = 32
    hidden_layers: int = 2
    omega_0: float = 30.0
    steps: int = 100
    learning_rate: float = 6e-3
    initial_scale: float = 1.0
    seed: int = 0
    packed: bool = False

    def siren(self, channels: int) -> Siren:
        """The architecture for pictures of so many channels."""
        return Siren(channels, self.width, self.hidden_layers, self.omega_0)


@dataclass(frozen=True)
class SharedPictures:
    """What every process fits to.

    Attributes:
        together: networks fitted side by side.
        places: of the pixels, [pixels, 2].
        pictures: by split, uint8-exact float32 [count, channels, pixels].
    """

    settings: InrSettings
    siren: Siren
    device: str
    together: int
    places: Tensor
    pictures: dict[str, Tensor]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Those that processes should share instead of copying."""
        return *self.pictures.values(), self.places


@torch.inference_mode()
def fit_job(shared: SharedPictures, job: Job[Fit], on_steps: Callable[[int], None]) -> tuple[Tensor, Tensor]:
    """Parameters [fits, parameter_count] and PSNR [fits] of a job, on the CPU."""
    found = []
    for begin in range(0, len(job.items), shared.together):
        group = job.items[begin : begin + shared.together]
        scale = shared.settings.initial_scale
        initial = torch.stack([shared.siren.initial(_generator(shared.settings.seed, fit), scale) for fit in group])
        pictures = torch.stack([shared.pictures[split][image] for split, image, _ in group]).to(shared.device)
        places = shared.places.to(shared.device)
        start, settings = initial.to(shared.device), shared.settings
        fitted = fit_sirens(shared.siren, start, pictures, places, settings.steps, settings.learning_rate, on_steps)
        errors = Engine(shared.siren, fitted, pictures, places).errors()
        found.append((fitted.cpu(), peak_signal_to_noise(errors).cpu()))
    parameters, psnr = zip(*found, strict=True)
    return torch.cat(parameters).clone(), torch.cat(psnr).clone()


def _recorded_fit(recorded: Any) -> Fit:
    split, image, fit = recorded
    return str(split), int(image), int(fit)


class SirenRecipe(Recipe[Fit, Fit, InrRow, tuple[Tensor, Tensor]]):
    """SIRENs; a run is one fit to one picture."""

    # On a CPU, what the cache holds; a GPU wants to be filled.
    together: ClassVar = {"cpu": 16, "cuda": 4096, "mps": 1024}
    work = staticmethod(fit_job)
    read_rows = staticmethod(partial(read_inr_rows, none=True))  # of fits that all diverged, there is a table of no row
    write_rows = staticmethod(write_inr_rows)
    run_of = staticmethod(lambda row: (row.split, row.image or 0, row.fit))
    order = staticmethod(lambda row: (row.file, row.index or 0))
    diverged_run = staticmethod(_recorded_fit)

    def __init__(self, settings: InrSettings) -> None:
        self.settings: InrSettings = settings

    def load_images(self) -> ImageSet:
        return load_images(self.settings.data)

    def runs(self, images: ImageSet) -> list[Fit]:
        """Those to test pictures come first, so that an unfinished zoo can measure heads."""
        settings = self.settings
        chosen: dict[str, list[int]] = {}
        counts = {"test": (settings.test_count, images.test_labels), "train": (settings.count, images.train_labels)}
        for split, (count, labels) in counts.items():
            if count > len(labels):
                cause = f"has {len(labels):,} pictures for {split}ing, not {count:,}"
                raise DataError(settings.data, cause, "ask for fewer, or for more --fits of each")
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(settings.seed))
            chosen[split] = order[:count].tolist()
        return [
            (split, image, fit)
            for split, numbers in chosen.items()
            for fit in range(settings.fits)
            for image in numbers
        ]

    def batches(self, runs: Sequence[Fit], group_size: int) -> list[tuple[Fit, ...]]:
        return [tuple(runs[start : start + _PART]) for start in range(0, len(runs), _PART)]

    def steps(self, items: Sequence[Fit], images: ImageSet) -> int:
        """Network-steps."""
        return len(items) * self.settings.steps

    def share(self, images: ImageSet, device: str, group_size: int) -> SharedPictures:
        return SharedPictures(
            self.settings,
            self._siren(images),
            device,
            group_size,
            pixel_grid(*images.train_images.shape[2:]),
            {"train": images.train_images.flatten(2), "test": images.test_images.flatten(2)},
        )

    def made(self, items: Sequence[Fit], result: tuple[Tensor, Tensor], images: ImageSet) -> Made[Fit, InrRow]:
        parameters, psnr = result
        sound = parameters.isfinite().all(1) & psnr.isfinite()
        labels = {"train": images.train_labels, "test": images.test_labels}
        rows = [
            InrRow(
                f"{split}-{image:06d}-{number:02d}.safetensors",
                None,
                split,
                image,
                number,
                label=int(labels[split][image]),
                psnr=round(psnr[position].item(), 3),
            )
            for position, (split, image, number) in enumerate(items)
            if sound[position]
        ]
        diverged = {fit for fit, own in zip(items, sound.tolist(), strict=True) if not own}
        return Made(rows, self._siren(images).split(parameters[sound]), diverged)

    def _siren(self, images: ImageSet) -> Siren:
        return self.settings.siren(images.train_images.shape[1])

    @property
    def metadata(self) -> dict[str, str]:
        return METADATA | {"omega_0": f"{self.settings.omega_0:g}"}

    def psnr(self, rows: Sequence[InrRow]) -> float:
        known = [row.psnr for row in rows if row.psnr is not None]
        return sum(known) / len(known) if known else float("nan")


def _generator(seed: int, fit: Fit) -> torch.Generator:
    """Independent of every other fit's: the parts of the name are hashed into the seed's 64 bits."""
    split, image, number = fit
    value = seed
    for part in (split == "test", image, number):
        value = (value * 6364136223846793005 + int(part) + 1442695040888963407) % (1 << 63)
    return torch.Generator().manual_seed(value)
