"""How heads are fitted and measured: one file a task, by the names of `nfn_cli.nn.names.TASKS`."""

from typing import Any

from nfn_cli.learning.tasks.accuracy import AccuracyLearning
from nfn_cli.learning.tasks.classification import ClassLearning
from nfn_cli.learning.tasks.editing import EditLearning
from nfn_cli.learning.tasks.task import LearningTask, Parts

LEARNING_TASKS: dict[str, LearningTask[Any, Any]] = {
    own.settings.task: own for own in (AccuracyLearning(), ClassLearning(), EditLearning())
}

__all__ = ["LEARNING_TASKS", "LearningTask", "Parts"]
