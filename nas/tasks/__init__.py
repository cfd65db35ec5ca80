"""Tasks: data sets with fixed splits, found or fetched by name."""

from nas.tasks.registry import data_root, get_task, load_task, register_task, task_names
from nas.tasks.task import Augmentation, DataError, Task, TaskData, to_int8

__all__ = [
    "Augmentation",
    "DataError",
    "Task",
    "TaskData",
    "data_root",
    "get_task",
    "load_task",
    "register_task",
    "task_names",
    "to_int8",
]
