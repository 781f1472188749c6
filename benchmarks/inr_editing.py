"""Editing implicit neural representations: doing nothing, an editor of equivariant layers, and a Function-Editor.

    nfn zoo inr --data mnist --count 60000 --test-count 10000 --packed --out zoo-mnist
    nfn train-editor zoo-mnist --edit dilate --out dilate-mnist
    python benchmarks/inr_editing.py table --row zoo-mnist dilate-mnist --row zoo-mnist erode-mnist
    python benchmarks/inr_editing.py draw --row zoo-mnist dilate-mnist monomial-dilate-mnist

`table` measures heads on the test networks of zoos (`--data` adds the error against the edit of the true pictures),
`draw` shows some of them, and `card` measures a head again and writes its card anew. Mean squared errors are for values
in [0, 1].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning import EditReport, measure_editor
from nfn_cli.learning.card import model_card
from nfn_cli.learning.edit_report import scientific
from nfn_cli.learning.editor_fit import pictures_of
from nfn_cli.learning.tasks.editing import EditLearning
from nfn_cli.nn import EDITS, Head, load_head
from nfn_cli.nn.inr.pixel_grid import pixel_grid
from nfn_cli.nn.inr.sine_chain import read_tensors
from nfn_cli.zoo import LABELS_FILE, LabelledNetworks, read_inrs
from nfn_cli.zoo.images import load_images
from nfn_cli.zoo.inr.labels import read_inr_rows


def card(options: argparse.Namespace) -> None:
    """Measure a head again, and write its card anew."""
    head = load_head(str(options.head), options.device)
    report = measure_editor(head, test_part(options.zoo, options.count))
    head.save(options.head, model_card(head, EditLearning().card(head, report)))
    show([report], [""])


def test_part(zoo: Path, count: int) -> LabelledNetworks:
    """The first test networks of a zoo."""
    return read_inrs(zoo).part("test").first(count)


def true_pictures(zoo: Path, count: int, data: str) -> Tensor:
    """What those of `test_part` were fitted to, [networks, channels, height, width] in [-1, 1]."""
    rows = [row for row in read_inr_rows(zoo / LABELS_FILE) if row.split == "test"]
    return load_images(data).test_images[[row.image or 0 for row in rows[:count]]]


def table(options: argparse.Namespace) -> None:
    """Measure heads, and print a table in Markdown."""
    reports, given = [], []
    for zoo, *names in options.row:
        networks = test_part(Path(zoo), options.count)
        for name in names:
            head = load_head(name, options.device)
            reports.append(measure_editor(head, networks))
            given.append("")
            if options.data:
                pictures = true_pictures(Path(zoo), options.count, options.data)
                true = measure_editor(head, networks, pictures=pictures, most_transformed=1)
                given[-1] = scientific(true.after)
            show(reports[-1:], given[-1:])
    show(reports, given)


def show(reports: list[EditReport], given: list[str]) -> None:
    """Print reports as a table in Markdown."""
    print("| edit | head | doing nothing | edited | PSNR | against the true picture | drift: weights, pictures | s |")
    print("|---|---|---|---|---|---|---|---|")
    for report, true in zip(reports, given, strict=True):
        print(
            f"| {report.edit} | {report.head} | {report.before.value:.2e} | {scientific(report.after)} |"
            f" {report.psnr:.1f} dB | {true} | {report.weight_drift:.0e}, {report.picture_drift:.0e} |"
            f" {report.seconds:.3f} |",
            flush=True,
        )


def shown(head: Head, networks: LabelledNetworks) -> Tensor:
    """Pictures of the edited networks, in [-1, 1], [networks, height, width]."""
    return rendered(head.predict(networks.point), head.config.details.picture)


def rendered(point: NetworkWeights, picture: tuple[int, int]) -> Tensor:
    """First channel of what networks show, [networks, height, width] in [-1, 1]."""
    tensors = read_tensors(point, torch.float64)
    values = pictures_of(tensors, pixel_grid(*picture).double(), point.architecture.omega_0)
    return values[:, 0].clamp(-1, 1).unflatten(1, picture)


def draw(options: argparse.Namespace) -> None:
    """Rows of pictures: the unedited networks', the target, and each head's edited networks'."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    blocks = []
    for zoo, *names in options.row:
        networks = test_part(Path(zoo), options.count)
        heads = [load_head(name, options.device) for name in names]
        details = heads[0].config.details
        original = rendered(networks.point, details.picture)
        target = EDITS[details.edit](original[:, None].float())[:, 0]
        blocks.append([("as it is", original), (f"target: {details.edit}", target)])
        blocks[-1] += [(head.config.kind.title.partition(" (")[0], shown(head, networks)) for head in heads]
    lines = [line for block in blocks for line in block]
    figure, grid = pyplot.subplots(len(lines), options.count, figsize=(options.count * 0.8 + 1.6, len(lines) * 0.82))
    for axes, (title, pictures) in zip(grid, lines, strict=True):
        for place, picture in zip(axes, pictures, strict=True):
            place.imshow(picture, cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            place.set_axis_off()
        axes[0].text(-0.15, 0.5, title, transform=axes[0].transAxes, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(left=1.6 / (options.count * 0.8 + 1.6), right=0.995, top=0.995, bottom=0.005, wspace=0.04)
    figure.savefig(options.figure, dpi=110)
    print(f"figure: {options.figure}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    again = commands.add_parser("card", help="measure a head, and write its card anew")
    again.set_defaults(run=card)
    again.add_argument("zoo", type=Path)
    again.add_argument("head", type=Path, help="the head's folder")
    again.add_argument("--count", type=int, default=500, help="test networks")
    measuring = commands.add_parser("table", help="measure heads")
    measuring.set_defaults(run=table)
    measuring.add_argument("--data", help="images that the zoo was fitted to, as for nfn zoo inr")
    measuring.add_argument("--count", type=int, default=500, help="test networks")
    drawing = commands.add_parser("draw", help="draw pictures")
    drawing.set_defaults(run=draw)
    drawing.add_argument("--count", type=int, default=10, help="test networks")
    drawing.add_argument("--figure", type=Path, default=Path("benchmarks/figures/inr-editing.png"))
    for command in (measuring, drawing):
        command.add_argument("--row", nargs="+", action="append", required=True, metavar="ZOO HEAD", help="heads")
    for command in (again, measuring, drawing):
        command.add_argument("--device", default="cpu")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
