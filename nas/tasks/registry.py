"""Tasks by name, and where their data lies."""

from __future__ import annotations

import os
from pathlib import Path

from nas.tasks import cifar10, digits, speech_commands
from nas.tasks.task import Task, TaskData
from search_spaces.errors import NasError

DATA_VARIABLE = "NAS_DATA"
DEFAULT_ROOT = ".data"

_TASKS: dict[str, Task] = {}


def register_task(task: Task) -> Task:
    """Makes a task known by its name; raises NasError when the name is taken."""
    if task.name in _TASKS:
        raise NasError(f"task {task.name!r} is registered already")
    _TASKS[task.name] = task
    return task


def task_names() -> tuple[str, ...]:
    """Names of all tasks, the embedded default first."""
    return tuple(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name without its data: ``name``, or ``name:options`` where the task has some.

    Raises NasError when there is none.
    """
    base, colon, options = name.partition(":")
    if base not in _TASKS:
        raise NasError(f"task {name!r} is unknown; known are {', '.join(_TASKS)}")
    task = _TASKS[base]
    if not colon:
        return task
    if task.with_options is None:
        raise NasError(f"task {name!r} is unknown: {base} has no options")
    return task.with_options(options)


def data_root(explicit: str | os.PathLike[str] | None = None) -> Path:
    """The folder data sets lie in: the explicit one, else ``NAS_DATA``, else ``.data`` in the current folder."""
    return Path(explicit or os.environ.get(DATA_VARIABLE) or DEFAULT_ROOT).expanduser()


def load_task(name: str, root: str | os.PathLike[str] | None = None) -> TaskData:
    """The task of that name with its data; raises DataError when the data is missing or damaged."""
    return get_task(name).load(data_root(root))


register_task(digits.TASK)
register_task(cifar10.TASK)
register_task(speech_commands.TASK)
