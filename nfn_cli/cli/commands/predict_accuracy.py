"""`nfn predict-accuracy`."""

from __future__ import annotations

from nfn_cli.cli.options import ActivationOption, Device, DeviceOption, OverwriteOption, QuietOption
from nfn_cli.cli.scoring_options import (
    BatchSizeOption,
    Dtype,
    DtypeOption,
    Engine,
    EngineOption,
    ExcludeOption,
    FromFileOption,
    HashOption,
    HeadOption,
    IncludeOption,
    JobsOption,
    LimitOption,
    OrderedOption,
    OutputOption,
    PathsArgument,
    ResumeOption,
    ScoreFormatOption,
    ScoringCall,
    parsed_batch_size,
)


def predict_accuracy(
    paths: PathsArgument = None,
    head: HeadOption = None,
    device: DeviceOption = Device.auto,
    activation: ActivationOption = None,
    format: ScoreFormatOption = None,
    output: OutputOption = None,
    overwrite: OverwriteOption = False,
    resume: ResumeOption = False,
    hash: HashOption = False,
    from_file: FromFileOption = None,
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    limit: LimitOption = None,
    jobs: JobsOption = None,
    ordered: OrderedOption = True,
    batch_size: BatchSizeOption = "auto",
    dtype: DtypeOption = Dtype.float32,
    engine: EngineOption = Engine.local,
    quiet: QuietOption = False,
) -> None:
    """Predict how well trained networks generalise, from their weights alone.

    Reads safetensors and PyTorch checkpoints; nothing in a file is ever executed. One row a network: predicted test
    accuracy, a 90 % interval, the head that said so, and whether the network looks like those the head was trained on.
    """
    from nfn_cli.cli.scoring_run import run_scoring
    from nfn_cli.cli.tables.predictions_table import predictions_table
    from nfn_cli.scoring import AccuracyTask, ScoreRow

    call = ScoringCall(
        paths=paths or [],
        from_file=from_file,
        include=include or [],
        exclude=exclude or [],
        limit=limit,
        head=head,
        activation=activation,
        device=device.value,
        dtype=dtype.value,
        batch_size=parsed_batch_size(batch_size),
        jobs=jobs,
        ordered=ordered,
        engine=engine.value,
        format=format,
        output=output,
        overwrite=overwrite,
        resume=resume,
        hashed=hash,
        quiet=quiet,
    )
    run_scoring(AccuracyTask(), ScoreRow, predictions_table, call)
