"""Where trainings run: one interface for this process, for processes of this machine, and for Ray."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from nas.search.config import SearchConfig
from nas.search.jobs import Job, OnTick, Outcome, Trainer, Work, attempt


class Executor(Protocol):
    """Takes jobs and hands back outcomes as they come, in whatever order.

    A job's failure is an outcome, a dead worker included. Only what concerns every job raises.
    """

    slots: int

    def submit(self, job: Job) -> None:
        """Takes on a job. At most ``slots`` may be under way."""

    def wait(self) -> Outcome:
        """The next outcome, as soon as there is one."""

    def close(self) -> None:
        """Ends all workers at once; jobs under way are given up."""


class InProcess:
    """Trains in this process, one job at a time, while somebody waits for it."""

    slots = 1

    def __init__(self, trainer: Trainer, config: SearchConfig, on_tick: OnTick) -> None:
        self._trainer = trainer
        self._config = config
        self._on_tick = on_tick
        self._work: Work | None = None
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def wait(self) -> Outcome:
        if self._work is None:
            self._work = self._trainer.load(self._config)
        return attempt(self._work, self._jobs.popleft(), self._on_tick)

    def close(self) -> None:
        self._jobs.clear()


def open_executor(trainer: Trainer, config: SearchConfig, on_tick: OnTick) -> Executor:
    """The executor that ``config`` names."""
    if config.executor == "processes":
        from nas.search.processes import Processes

        return Processes(trainer, config, on_tick)
    if config.executor == "ray":
        from nas.search.on_ray import OnRay

        return OnRay(trainer, config, on_tick)
    return InProcess(trainer, config, on_tick)
