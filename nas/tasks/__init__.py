"""Tasks: data sets of images or sounds with fixed splits, found or fetched by name."""

from nas.tasks.registry import data_root, get_task, load_task, register_task, task_names
from nas.tasks.task import (
    Augmentation,
    DataError,
    Sound,
    SoundAugmentation,
    Task,
    TaskData,
    from_int8,
    sound_task,
    to_int8,
)

__all__ = [
    "Augmentation",
    "DataError",
    "Sound",
    "SoundAugmentation",
    "Task",
    "TaskData",
    "data_root",
    "from_int8",
    "get_task",
    "load_task",
    "register_task",
    "sound_task",
    "task_names",
    "to_int8",
]
