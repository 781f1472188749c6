"""`nfn predict-accuracy`."""

from __future__ import annotations

from nfn_cli.cli.scoring_options import ModuleScoringOptions
from nfn_cli.cli.takes import takes


@takes
def predict_accuracy(options: ModuleScoringOptions) -> None:
    """Predict networks' test accuracy from their weights alone.

    Reads safetensors and PyTorch checkpoints; nothing in a file is ever executed. One row per network: predicted test
    accuracy, a 90 % interval, the head that predicted it, and whether the network looks like those that the head was
    trained on.

    A head for a network's own architecture is asked first, else one for any classifier of pictures, which is told how
    networks are run by --model, a config.json beside them, or names and shapes of a known family.

    Examples:
        nfn predict-accuracy runs/ --output scores.csv
        nfn predict-accuracy 'zoo/**/*.pt' --limit 100 --format json
    """
    from nfn_cli.cli.scoring_run import run_scoring
    from nfn_cli.cli.tables.predictions_table import predictions_table
    from nfn_cli.scoring import AccuracyTask, ScoreRow

    run_scoring(AccuracyTask(), ScoreRow, predictions_table, options)
