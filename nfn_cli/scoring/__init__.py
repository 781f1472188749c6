"""Many checkpoints through one head: rows in, rows out.

>>> from nfn_cli.scoring import ScoreRow
>>> ScoreRow("a.safetensors", error="a.safetensors: the file is empty; copy it again").accuracy is None
True
"""

from nfn_cli.scoring.rows import ClassRow, ScoreRow
from nfn_cli.scoring.score import classify, score

__all__ = ["ClassRow", "ScoreRow", "classify", "score"]
