"""Many checkpoints through one head: rows in, rows out.

>>> from nfn_cli.scoring import ScoreRow
>>> ScoreRow("a.safetensors", error="a.safetensors: the file is empty; copy it again").accuracy is None
True
"""

from nfn_cli.nn.tasks import ClassRow, ScoreRow
from nfn_cli.nn.tasks.accuracy import AccuracyTask
from nfn_cli.nn.tasks.classification import ClassificationTask
from nfn_cli.scoring.inputs import Inputs, found
from nfn_cli.scoring.local import EngineSettings, Scored, Tally, run
from nfn_cli.scoring.rank import Ranking, RankRow
from nfn_cli.scoring.rows import Stamp
from nfn_cli.scoring.score import assumption_notes, classify, engine_settings, run_engine, score

__all__ = [
    "AccuracyTask",
    "ClassRow",
    "ClassificationTask",
    "EngineSettings",
    "Inputs",
    "RankRow",
    "Ranking",
    "ScoreRow",
    "Scored",
    "Stamp",
    "Tally",
    "assumption_notes",
    "classify",
    "engine_settings",
    "found",
    "run",
    "run_engine",
    "score",
]
