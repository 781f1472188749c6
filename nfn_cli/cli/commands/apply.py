"""`nfn apply`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.destinations import Destination, RewriteOptions, check_element, element_path, planned
from nfn_cli.cli.options import OUTPUT, ReadingOptions, checked_scale_range
from nfn_cli.cli.rewriting import RewrittenRow, rewrite_files, write_row
from nfn_cli.cli.takes import option, takes
from nfn_cli.errors import UsageError
from nfn_cli.folders import make_folder, require_place

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

_ELEMENT = "Group element"


@takes
def apply(
    options: RewriteOptions,
    reading: ReadingOptions,
    seed: Annotated[int | None, option(_ELEMENT, "Apply a random element, drawn by this seed.")] = None,
    element: Annotated[Path | None, option(_ELEMENT, "Apply a saved element.")] = None,
    inverse: Annotated[bool, option(_ELEMENT, "Apply the inverse of that element.", "--inverse")] = False,
    scale_range: Annotated[
        tuple[float, float], option(_ELEMENT, "Scales of a random element, log-uniform.", metavar="LOW HIGH")
    ] = (0.1, 10.0),
    scale: Annotated[bool, option(_ELEMENT, "Random scales.", "--scale/--no-scale")] = True,
    sign: Annotated[bool, option(_ELEMENT, "Random signs, and phases of sines.", "--sign/--no-sign")] = True,
    permute: Annotated[bool, option(_ELEMENT, "Random order of neurons.", "--permute/--no-permute")] = True,
    pow2: Annotated[
        bool, option(_ELEMENT, "Powers of two as scales, which round no weight; phases stay.", "--pow2")
    ] = False,
    count: Annotated[
        int | None,
        option(
            OUTPUT,
            "Write N copies of each file into the folder PATH: NAME-0000 by --seed, NAME-0001 by --seed + 1, ...",
            min=1,
        ),
    ] = None,
    save_element: Annotated[
        Path | None,
        option(
            OUTPUT,
            "Save the group element that was applied; of several files in a folder, as NAME.element.safetensors.",
        ),
    ] = None,
) -> None:
    """Transform networks: other weights, the same function.

    A group element moves a network along its orbit. It is drawn by --seed or read by --element, one for all files; with
    --count every copy has its own. A new file has the layout, names and dtype of the old one.

    Examples:
        nfn apply model.safetensors --seed 1 -o moved.safetensors
        nfn apply runs/ --seed 1 --count 10 --no-scale -o copies/
    """
    options.check()
    if (seed is None) == (element is None):
        cause = "neither is given" if seed is None else "both are given"
        raise UsageError("--seed, --element", f"{cause}, and one element is needed", "give one of the two")
    if count is not None and element is not None:
        raise UsageError("--count", "one element makes one copy", "give --seed, which draws another for each")
    checked_scale_range(scale_range)
    from nfn_cli.checkpoints import require_folder_name

    overwrite = options.overwrite
    plan = planned(options.paths, options.output, count)
    one = plan.destinations[0] if len(plan.destinations) == 1 else None
    elements = save_element if one is None or count is not None or (save_element or Path()).is_dir() else None
    if save_element is not None and elements is None and not (options.skip_existing and one and one.target.exists()):
        check_element(save_element, overwrite=overwrite, target=one.target if one else None)
    if elements is not None:
        require_folder_name(str(elements))
        require_place(elements)
    stated, tracer = reading.stated(), reading.tracer()

    @lru_cache(maxsize=1)
    def read(path: Path) -> AnySource:
        """Once for all copies."""
        from nfn_cli.symmetry.sources import read_any

        return read_any(path, stated, tracer)

    def work(each: Destination) -> RewrittenRow:
        from nfn_cli.checkpoints import require_writable
        from nfn_cli.symmetry.sources import Draw, draw_element, inverted, read_element, transformed_by, write_element

        source = read(each.source)
        if element is not None:
            chosen = read_element(source, element)
        else:
            assert seed is not None
            chosen = draw_element(source, Draw(scale_range, scale, sign, permute, pow2), seed + each.copy)
        if inverse:
            chosen = inverted(source, chosen)
        saved = element_path(elements, each) if elements is not None else save_element
        if saved is not None and elements is not None:
            make_folder(saved.parent)
            require_writable(saved, overwrite=overwrite)
        row = write_row(plan, each, source, transformed_by(source, chosen, exact=pow2), overwrite=overwrite)
        if saved is not None:
            write_element(source, chosen, saved, overwrite=overwrite)
        return row

    rewrite_files(plan, work, options)
