"""Generate a zoo of any kind: make its networks job by job, and pick up where a stopped sitting ended."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nfn_cli.folders import claimed
from nfn_cli.processes import in_processes
from nfn_cli.threads import threads_for, weights_of
from nfn_cli.zoo.network_files import free_parts
from nfn_cli.zoo.recipe import Job, Recipe, SharedData
from nfn_cli.zoo.recipes import recipe_for
from nfn_cli.zoo.record import read_state, write_record
from nfn_cli.zoo.settings import ZooSettingsBase


@dataclass(frozen=True)
class ZooReport:
    """What a sitting did.

    Attributes:
        trained, found: runs made now, and runs found finished.
        diverged: runs whose numbers stopped being finite; what was saved of them before is kept.
        networks: in the zoo now.
        steps: done now, as `on_steps` was called with.
        psnr: mean over the zoo in dB, NaN where no network has it; None where networks are no pictures.
    """

    trained: int
    found: int
    diverged: int
    networks: int
    steps: int
    psnr: float | None = None


def generate_zoo(
    folder: Path,
    settings: ZooSettingsBase,
    *,
    device: str = "cpu",
    workers: int = 1,
    group_size: int | None = None,
    on_start: Callable[[int], None] = lambda steps: None,
    on_steps: Callable[[int], None] = lambda steps: None,
    on_runs: Callable[[int, int], None] = lambda done, wanted: None,
) -> ZooReport:
    """Make the runs of `settings` that `folder` does not hold yet.

    Writes networks, `labels.csv` and `zoo.yaml`; `labels.csv` grows by whole jobs, after their networks, so a killed
    sitting loses at most the jobs under way.

    The same settings give the same zoo on one kind of processor, with one version of torch and one group size, bit for
    bit; other instructions take sums in another order, and training enlarges that. CNNs of a group share one
    stream of dropout masks: a count that grew gives other groups than one sitting would have had. A SIREN follows from
    the seed, its picture and the number of the fit; which others are fitted beside it changes no more than rounding.

    Args:
        settings: of one kind of zoo, see `recipes`.
        workers: processes with one thread each. Most recipes fill a GPU with one, whatever is asked for.
        group_size: networks made side by side; by default what suits the device.
        on_start: called with how many steps this sitting will do: network-samples of CNNs, network-steps of SIRENs.
        on_steps: called with how many were done since the last call.
        on_runs: called with how many of how many runs the folder holds, at first and after each job.

    Raises:
        DataError: unusable images or settings, a folder that holds another zoo or cannot be written to, or another
            run writes to it.
    """
    recipe = recipe_for(settings)
    size = group_size or recipe.together[device]
    with claimed(folder):
        state = read_state(folder, recipe)
        images = recipe.load_images()
        wanted = [run for run in recipe.runs(images) if run not in state.finished]
        batches = recipe.batches(wanted, size)
        jobs = [Job(part, items) for part, items in zip(free_parts(state.rows), batches, strict=False)]
        steps = sum(recipe.steps(job.items, images) for job in jobs)
        on_start(steps)
        found = done = len(state.finished)
        on_runs(done, found + len(wanted))
        rows, diverged = list(state.rows), set(state.diverged)
        write_record(folder, recipe.settings, diverged)
        if jobs:
            shared = recipe.share(images, device, size)
            with closing(_worked(recipe, shared, jobs, device, workers, on_steps)) as finished:
                for job, result in finished:
                    made = recipe.made(job.items, result, images)
                    part = job.part if recipe.settings.packed else None
                    with threads_for(weights_of(made)):
                        rows += recipe.write(folder, made, result, part)
                    rows.sort(key=recipe.order)
                    diverged |= made.diverged
                    # In this order, a kill in between makes a run that diverged here be made again; the other order
                    # would lose what was saved of it before.
                    recipe.write_rows(folder, rows)
                    write_record(folder, recipe.settings, diverged)
                    done += len(job.items)
                    on_runs(done, found + len(wanted))
        return ZooReport(len(wanted), found, len(diverged), len(rows), steps, recipe.psnr(rows))


def _worked(
    recipe: Recipe[Any, Any, Any, Any],
    shared: SharedData,
    jobs: Sequence[Job[Any]],
    device: str,
    workers: int,
    on_steps: Callable[[int], None],
) -> Generator[tuple[Job[Any], Any], None, None]:
    """Each job and its result when it is finished, in whatever order that is."""
    if device != "cpu" and (workers == 1 or not recipe.shares_gpu):
        for job in jobs:
            yield job, recipe.work(shared, job, on_steps)
        return
    for tensor in shared.tensors:
        tensor.share_memory_()
    yield from in_processes(recipe.work, shared, jobs, workers, on_steps)
