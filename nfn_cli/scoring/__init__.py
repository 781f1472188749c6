"""Many checkpoints through one head: rows in, rows out.

>>> from nfn_cli.scoring import ScoreRow
>>> ScoreRow("a.safetensors", error="a.safetensors: the file is empty; copy it again").accuracy is None
True

Importing the package imports no torch; the first use of a name may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.lazy import lazily

if TYPE_CHECKING:
    from nfn_cli.nn.tasks.accuracy import AccuracyTask as AccuracyTask
    from nfn_cli.nn.tasks.classification import ClassificationTask as ClassificationTask
    from nfn_cli.nn.tasks.rows import ClassRow as ClassRow
    from nfn_cli.nn.tasks.rows import ScoreRow as ScoreRow
    from nfn_cli.scoring.inputs import Inputs as Inputs
    from nfn_cli.scoring.inputs import found as found
    from nfn_cli.scoring.local import run as run
    from nfn_cli.scoring.rank import Ranking as Ranking
    from nfn_cli.scoring.rank import RankRow as RankRow
    from nfn_cli.scoring.rows import Stamp as Stamp
    from nfn_cli.scoring.score_and_classify import assumption_notes as assumption_notes
    from nfn_cli.scoring.score_and_classify import classify as classify
    from nfn_cli.scoring.score_and_classify import engine_settings as engine_settings
    from nfn_cli.scoring.score_and_classify import run_engine as run_engine
    from nfn_cli.scoring.score_and_classify import score as score
    from nfn_cli.scoring.work import EngineSettings as EngineSettings
    from nfn_cli.scoring.work import Scored as Scored
    from nfn_cli.scoring.work import Tally as Tally
else:
    __getattr__, __dir__ = lazily(__name__)
