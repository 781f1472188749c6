"""`nfn classify-inr`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from nfn_cli.cli.options import OUTPUT, head_option
from nfn_cli.cli.scoring_options import ScoreFormat, ScoringOptions
from nfn_cli.cli.takes import option, takes
from nfn_cli.shipped import CLASSIFY

_PICTURES = "Pictures"


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ScoringOptions):
    """What is shown of each network, and where."""

    head: Annotated[str | None, head_option(CLASSIFY, help="the shipped one that fits")] = None
    top: Annotated[int, option(OUTPUT, "Give the probabilities of so many classes.", min=1)] = 3
    render: Annotated[
        bool,
        option(_PICTURES, "Draw the pictures in the terminal as well; on stderr, where rows are no table.", "--render"),
    ] = False
    sheet: Annotated[Path | None, option(_PICTURES, "Draw the pictures on a contact sheet.", metavar="FILE.png")] = None
    labels: Annotated[
        Path | None,
        option(
            _PICTURES, "CSV with the true classes (file, label), for the pictures. [default: labels.csv beside them]"
        ),
    ] = None


@takes
def classify_inr(options: ClassifyOptions) -> None:
    """Classify the pictures in INRs from their weights alone.

    One row an INR: the most probable class, its probability, the entropy of all classes' probabilities (0 bit: the head
    is sure), and the probabilities of the --top classes.

    Examples:
        nfn classify-inr inrs/ --output classes.csv
        nfn classify-inr inrs/ --sheet classes.png
    """
    from nfn_cli.cli.class_pictures import ClassPictures
    from nfn_cli.cli.scoring_run import run_scoring
    from nfn_cli.cli.tables.classes_table import classes_table
    from nfn_cli.scoring import ClassificationTask, ClassRow

    table = options.format is ScoreFormat.table or (options.format is None and sys.stdout.isatty())
    aside = options.output is None and not table
    shown = ClassPictures(options, aside=aside) if options.render or options.sheet is not None else None
    run_scoring(ClassificationTask(options.top), ClassRow, classes_table, options, shown)
