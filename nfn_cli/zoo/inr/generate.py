"""Generate a zoo of INRs: fit a SIREN to every picture, part by part, and pick up where a stopped sitting ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain as chained
from itertools import count as counted
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors, synced_together
from nfn_cli.errors import DataError
from nfn_cli.folders import claimed
from nfn_cli.processes import in_processes
from nfn_cli.threads import threads_for
from nfn_cli.zoo.images import ImageSet, load_images
from nfn_cli.zoo.inr.fit import Budget, Engine, fit_sirens, peak_signal_to_noise
from nfn_cli.zoo.inr.labels import InrRow, write_inr_rows
from nfn_cli.zoo.inr.record import Fit, InrSettings, read_inr_state, write_inr_record
from nfn_cli.zoo.inr.siren import Siren, grid
from nfn_cli.zoo.record import part_name

# Networks fitted side by side: on a CPU, what the cache holds; a GPU wants to be filled.
_TOGETHER = {"cpu": 16, "cuda": 4096, "mps": 1024}
_PART = 1024
# The place of a picture's pixels, and the range of its values, for whoever draws it.
METADATA = {"activation": "sin", "arch": "siren", "value_range": "-1 1"}


@dataclass(frozen=True)
class InrReport:
    """What a sitting did.

    Attributes:
        fitted, found: networks fitted now, and found finished.
        diverged: fits whose weights stopped being finite; they are left out.
        psnr: mean over the zoo, in dB.
        steps: network-steps done now.
    """

    fitted: int
    found: int
    diverged: int
    psnr: float
    steps: int


@dataclass(frozen=True)
class _Shared:
    siren: Siren
    budget: Budget
    seed: int
    device: str
    together: int
    places: Tensor
    pictures: dict[str, Tensor]  # by split, uint8-exact float32 [count, channels, pixels]


@dataclass(frozen=True)
class _Part:
    """What is fitted and written in one go."""

    number: int
    fits: tuple[Fit, ...]


def generate_inrs(
    folder: Path,
    settings: InrSettings,
    *,
    device: str = "cpu",
    workers: int = 1,
    group_size: int | None = None,
    on_start: Callable[[int], None] = lambda steps: None,
    on_steps: Callable[[int], None] = lambda steps: None,
    on_fits: Callable[[int, int], None] = lambda done, wanted: None,
) -> InrReport:
    """Fit the networks of `settings` that `folder` does not hold yet.

    Writes networks, `zoo.yaml` and `labels.csv`; that grows by whole parts, after their networks, so a killed sitting
    loses at most the parts under way. A network follows from the seed, its picture and the number of the fit; which
    others are fitted beside it changes no more than rounding.

    Args:
        workers: processes with one thread each, on a CPU; a GPU is filled by one.
        group_size: networks fitted side by side; by default what suits the device.
        on_start: told how many network-steps this sitting will do.
        on_steps: told how many were done since the last call.
        on_fits: told how many of how many networks the folder holds, at first and after each part.

    Raises:
        DataError: unusable images, more pictures asked for than there are, or a folder that holds another zoo or
            cannot be written to, or another run writes to it.
    """
    with claimed(folder):
        return _generated(
            folder, settings, device, workers, group_size or _TOGETHER[device], on_start, on_steps, on_fits
        )


def _generated(
    folder: Path,
    settings: InrSettings,
    device: str,
    workers: int,
    group_size: int,
    on_start: Callable[[int], None],
    on_steps: Callable[[int], None],
    on_fits: Callable[[int, int], None],
) -> InrReport:
    state = read_inr_state(folder, settings)
    images = load_images(settings.data)
    wanted = [fit for fit in _fits(settings, images) if fit not in state.finished]
    jobs = [
        _Part(number, tuple(wanted[start : start + _PART]))
        for number, start in zip(_free_parts(state.rows), range(0, len(wanted), _PART), strict=False)
    ]
    on_start(len(wanted) * settings.steps)
    done, count = len(state.finished), len(state.finished) + len(wanted)
    on_fits(done, count)
    rows, diverged = list(state.rows), set(state.diverged)
    write_inr_record(folder, settings, diverged)
    siren = settings.siren(images.train_images.shape[1])
    if jobs:
        shared = _Shared(
            siren,
            Budget(settings.steps, settings.learning_rate),
            settings.seed,
            device,
            group_size,
            grid(*images.train_images.shape[2:]),
            {"train": images.train_images.flatten(2), "test": images.test_images.flatten(2)},
        )
        labels = {"train": images.train_labels.tolist(), "test": images.test_labels.tolist()}
        with closing(_fitted(shared, jobs, workers, on_steps)) as finished:
            for part, (parameters, psnr) in finished:
                kept = parameters.isfinite().all(1) & psnr.isfinite()
                diverged |= {fit for fit, sound in zip(part.fits, kept.tolist(), strict=True) if not sound}
                sound_part = _Part(part.number, tuple(part.fits[place] for place in kept.nonzero()[:, 0].tolist()))
                with threads_for(parameters.numel()):
                    rows += _write_part(
                        folder, siren, sound_part, parameters[kept], psnr[kept].tolist(), labels, settings.packed
                    )
                rows.sort(key=lambda row: (row.file, row.index or 0))
                write_inr_rows(folder, rows)
                write_inr_record(folder, settings, diverged)
                done += len(part.fits)
                on_fits(done, count)
    known = [row.psnr for row in rows if row.psnr is not None]
    mean = sum(known) / len(known) if known else float("nan")
    return InrReport(len(wanted), len(state.finished), len(diverged), mean, len(wanted) * settings.steps)


def _fits(settings: InrSettings, images: ImageSet) -> list[Fit]:
    """All fits of a zoo: those to test pictures first, so that an unfinished zoo can measure heads."""
    chosen: dict[str, list[int]] = {}
    counts = {"test": (settings.test_count, images.test_labels), "train": (settings.count, images.train_labels)}
    for split, (count, labels) in counts.items():
        if count > len(labels):
            cause = f"has {len(labels):,} pictures for {split}ing, not {count:,}"
            raise DataError(settings.data, cause, "ask for fewer, or for more --fits of each")
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(settings.seed))
        chosen[split] = order[:count].tolist()
    return [
        (split, image, fit) for split, numbers in chosen.items() for fit in range(settings.fits) for image in numbers
    ]


def _fitted(
    shared: _Shared, jobs: Sequence[_Part], workers: int, on_steps: Callable[[int], None]
) -> Generator[tuple[_Part, tuple[Tensor, Tensor]], None, None]:
    if shared.device != "cpu":
        for job in jobs:
            yield job, _fit_part(shared, job, on_steps)
        return
    for tensor in chained(shared.pictures.values(), [shared.places]):
        tensor.share_memory_()
    yield from in_processes(_fit_part, shared, jobs, workers, on_steps)


@torch.inference_mode()
def _fit_part(shared: _Shared, part: _Part, on_steps: Callable[[int], None]) -> tuple[Tensor, Tensor]:
    """Parameters [fits, parameter_count] and PSNR [fits] of a part, on the CPU."""
    found = []
    for start in range(0, len(part.fits), shared.together):
        group = part.fits[start : start + shared.together]
        initial = torch.stack([shared.siren.initial(_generator(shared.seed, fit)) for fit in group])
        pictures = torch.stack([shared.pictures[split][image] for split, image, _ in group]).to(shared.device)
        places = shared.places.to(shared.device)
        fitted = fit_sirens(shared.siren, initial.to(shared.device), pictures, places, shared.budget, on_steps)
        errors = Engine(shared.siren, fitted, pictures, places).errors()
        found.append((fitted.cpu(), peak_signal_to_noise(errors).cpu()))
    parameters, psnr = zip(*found, strict=True)
    return torch.cat(parameters).clone(), torch.cat(psnr).clone()


def _generator(seed: int, fit: Fit) -> torch.Generator:
    """Independent of every other fit's: the parts of the name are hashed into the seed's 64 bits."""
    split, image, number = fit
    value = seed
    for part in (split == "test", image, number):
        value = (value * 6364136223846793005 + int(part) + 1442695040888963407) % (1 << 63)
    return torch.Generator().manual_seed(value)


def _write_part(
    folder: Path,
    siren: Siren,
    part: _Part,
    parameters: Tensor,
    psnr: Sequence[float],
    labels: dict[str, list[int]],
    packed: bool,
) -> list[InrRow]:
    """Write a part's networks, and return their rows."""
    metadata = METADATA | {"omega_0": f"{siren.omega_0:g}"}
    name = part_name(part.number)
    rows = [
        InrRow(
            file=name if packed else f"{split}-{image:06d}-{number:02d}.safetensors",
            index=place if packed else None,
            split=split,
            image=image,
            fit=number,
            label=labels[split][image],
            psnr=round(psnr[place], 3),
        )
        for place, (split, image, number) in enumerate(part.fits)
    ]
    # A file of such a name would be left over from a killed sitting, and belong to no row.
    tensors = {key: value.contiguous() for key, value in siren.split(parameters).items()}
    if packed and rows:
        save_tensors(folder / name, tensors, metadata | {POPULATION_KEY: str(len(rows))}, overwrite=True)
        return rows
    with synced_together():
        for place, row in enumerate(rows):
            alone = {key: value[place].clone() for key, value in tensors.items()}
            save_tensors(folder / row.file, alone, metadata, overwrite=True)
    return rows


def _free_parts(rows: Sequence[InrRow]) -> Iterator[int]:
    """Numbers of packed files that no row belongs to. The lowest come first: what a killed sitting has written beside
    the table is among them, and is replaced."""
    found = (re.fullmatch(r"part-(\d+)\.safetensors", row.file) for row in rows)
    taken = {int(match.group(1)) for match in found if match}
    return (number for number in counted() if number not in taken)
