"""`nfn train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nfn_cli.cli.head_work import AccuracyLabels, FitOptions, Networks, fit_any_head, fit_head, one_path
from nfn_cli.cli.named_folders import named_folders
from nfn_cli.cli.options import FIT, INPUT, READING, AccuracyKind, OodOption, WorkersOption, kind_option
from nfn_cli.cli.takes import option, takes
from nfn_cli.errors import UsageError
from nfn_cli.nn.names import kinds_of
from nfn_cli.shipped import PREDICT

if TYPE_CHECKING:
    from nfn_cli.nn import ForwardPass

_VALIDATION = 0.15
_AUTO = AccuracyKind("auto")
_ANY = tuple(AccuracyKind(name) for name in ("any-classifier", "monomial-any"))
_EPOCHS = ", ".join(f"{own.epochs} ({name})" for name, own in kinds_of(PREDICT).items())


@takes
def train(
    data: Networks,
    options: FitOptions,
    labels: AccuracyLabels = None,
    target: Annotated[str, option(INPUT, "Column with the accuracy to predict, between 0 and 1.")] = "test_accuracy",
    run_column: Annotated[
        str, option(INPUT, "Column with the training run; without one, each checkpoint is a run of its own.")
    ] = "run",
    kind: Annotated[
        AccuracyKind,
        kind_option(
            PREDICT,
            "; auto: for networks of one architecture the first where it is known how they are run, else the second;"
            " for others the third",
        ),
    ] = _AUTO,
    input_size: Annotated[
        str | None,
        option(READING, "Sides of an image that the networks read, such as 32x32 (convolutions).", metavar="HxW"),
    ] = None,
    stride: Annotated[int, option(READING, "Of every convolution; goes with --input-size.", min=1)] = 1,
    padding: Annotated[int, option(READING, "Of every convolution; goes with --input-size.", min=0)] = 0,
    epochs: Annotated[
        int | None,
        option(
            FIT,
            f"Passes over the training networks. [default: {_EPOCHS}; more for few networks]",
            min=1,
        ),
    ] = None,
    patience: Annotated[
        int | None, option(FIT, "Stop a member after N epochs without a better validation loss.", min=1)
    ] = None,
    validation: Annotated[
        float | None,
        option(
            FIT,
            "Share of the training runs that validate: the best epoch's weights are kept."
            " [default: 0.15 with --patience, else 0]",
        ),
    ] = None,
    members: Annotated[int, option(FIT, "Networks in the head's ensemble.", min=1, max=64)] = 4,
    also: Annotated[
        list[Path] | None,
        option(
            INPUT,
            "Other networks of the same runs, such as those of nfn zoo between; those of training runs are fitted to"
            " as well; repeatable.",
            metavar="DIR",
        ),
    ] = None,
    probe_images: Annotated[
        str | None,
        option(
            FIT,
            "The images that the networks were trained on (an .npz archive, digits, ...): learned inputs start as some"
            " of them, class by class. [default: they start as noise]",
        ),
    ] = None,
    workers: WorkersOption = None,
    ood: OodOption = None,
) -> None:
    """Fit a head that predicts accuracies.

    It is fitted to labelled networks, of one architecture or of many, and written as a folder with its model card.
    Checkpoints of one training run stay together: 70 % of the runs train the head, 12 % calibrate its interval, 18 %
    measure it. The same command continues a fit that was stopped, and ends in the same head.

    For networks of many architectures, the columns task, family and trainer of the table are looked at, where it has
    them: each of their values is left out of a fit of its own, to set the interval, and to show what the head does on
    networks such as it has not seen.

    Examples:
        nfn train runs --labels runs.csv --target accuracy -o my-head
        nfn train wild-mnist wild-cifar10 -o any-head
    """
    from nfn_cli.cli.tables.report import print_report
    from nfn_cli.learning import AccuracySettings, AnySettings, FitSettings
    from nfn_cli.learning.any_classifier.settings import any_fit_settings
    from nfn_cli.learning.any_classifier.several import are_several
    from nfn_cli.processors import processors

    if kind in _ANY or (kind is _AUTO and are_several(data, labels, target, run_column)):
        without = {
            "--input-size": input_size is not None,
            "--stride": stride != 1,
            "--padding": padding != 0,
            "--patience": patience is not None,
            "--validation": validation is not None,
            "--also": bool(also),
            "--probe-images": probe_images is not None,
        }
        _refuse_without_effect(without)
        any_settings = AnySettings(
            fit=any_fit_settings(
                _ANY[0].value if kind is _AUTO else kind.value, epochs=epochs, seed=options.seed, members=members
            ),
            column=target,
            run_column=run_column,
            activation=options.activation,
            out_of_distribution=named_folders("--ood", ood),
            workers=workers or processors(),
        )
        fit_any_head(data, labels, any_settings, options)
        return
    settings = AccuracySettings(
        members=members,
        fit=FitSettings(
            epochs=epochs, seed=options.seed, validation=_validation_share(validation, patience), patience=patience
        ),
        kind=None if kind is _AUTO else kind.value,
        forward_pass=_forward_pass(input_size, stride, padding),
        probe_images=probe_images,
        also=tuple(also or ()),
        column=target,
        run_column=run_column,
        activation=options.activation,
        out_of_distribution=named_folders("--ood", ood),
    )
    fit_head(one_path(data), labels, settings, options, "epochs", print_report)


def _forward_pass(size: str | None, stride: int, padding: int) -> ForwardPass | None:
    from nfn_cli.nn import ForwardPass

    if size is None:
        if (stride, padding) != (1, 0):
            raise UsageError("--stride, --padding", "they need the size of the input", "give --input-size too")
        return None
    try:
        return ForwardPass(tuple(int(side) for side in size.split("x")), stride, padding)
    except ValueError as error:
        raise UsageError("--input-size", f"{size} is no size of an image", "give such as 32x32") from error


def _refuse_without_effect(given: dict[str, bool]) -> None:
    """Refuse options that a head for any classifier does not have.

    Raises:
        UsageError: one is given.
    """
    for name, is_given in given.items():
        if is_given:
            cause = "has no effect on a head for any classifier"
            raise UsageError(name, cause, "leave it out, or name another --kind for networks of one architecture")


def _validation_share(validation: float | None, patience: int | None) -> float:
    if validation is None:
        return _VALIDATION if patience else 0.0
    if not 0 <= validation <= 0.5:
        raise UsageError("--validation", f"{validation:g} is no share of the training runs", "give 0 to 0.5")
    if validation == 0 and patience:
        raise UsageError("--patience", "needs validation runs", "give --validation 0.15")
    return validation
