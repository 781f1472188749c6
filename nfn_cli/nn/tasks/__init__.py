"""What heads are for: one file a task, listed in `nfn_cli.nn.names.TASKS`."""

from nfn_cli.nn.tasks.rows import ClassRow, Row, ScoreRow
from nfn_cli.nn.tasks.task import Details, RowTask, Task, load_task

__all__ = ["ClassRow", "Details", "Row", "RowTask", "ScoreRow", "Task", "load_task"]
