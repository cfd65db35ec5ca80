"""Trainings as stateless Ray tasks, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
from functools import lru_cache
from typing import Any

from nas.search.config import SearchConfig
from nas.search.jobs import Job, OnTick, Outcome, Trainer, Work, attempt
from nas.search.processes import ONE_THREAD, RECYCLE, environment

_POLL = 0.5
"""Seconds between looks at signals while Ray waits: it does not return for them by itself."""


class OnRay:
    """``config.jobs`` Ray tasks at a time, each on one core; workers are replaced after ``RECYCLE`` trainings.

    Uses the Ray session there is, else joins or starts one and leaves or ends it with itself. A worker
    that dies fails the job it had. Progress within a training is not reported.
    """

    def __init__(self, trainer: Trainer, config: SearchConfig, on_tick: OnTick) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        self.slots = config.jobs
        self._ray = ray
        self._owner = not ray.is_initialized()
        if self._owner:
            _start(config.jobs)
        self._train = ray.remote(max_calls=RECYCLE, max_retries=0, num_cpus=1)(_train)
        self._setup = ray.put((trainer, config))
        self._jobs: dict[Any, Job] = {}

    def submit(self, job: Job) -> None:
        self._jobs[self._train.remote(self._setup, job)] = job

    def wait(self) -> Outcome:
        ready: list[Any] = []
        while not ready:
            ready, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=_POLL)
        job = self._jobs.pop(ready[0])
        try:
            outcome: Outcome = self._ray.get(ready[0])
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except self._ray.exceptions.RayError as error:
            return Outcome(job, why=f"its Ray worker was lost ({type(error).__name__})")
        return outcome

    def close(self) -> None:
        for task in self._jobs:
            self._ray.cancel(task, force=True)
        self._jobs.clear()
        if self._owner:
            self._ray.shutdown()


def _start(jobs: int) -> None:
    """Joins the cluster that ``RAY_ADDRESS`` names, else starts a session on this machine."""
    import ray

    # A cluster that is there already has its own size.
    size = None if os.environ.get("RAY_ADDRESS") else jobs
    on_term = signal.getsignal(signal.SIGTERM)
    with environment(ONE_THREAD):  # which the session's workers inherit
        ray.init(num_cpus=size, include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_term)  # Ray puts its own in the place of the search's


def _train(setup: tuple[Trainer, SearchConfig], job: Job) -> Outcome:
    trainer, config = setup
    return attempt(_load(trainer, config.model_dump_json()), job, lambda tick: None)


@lru_cache(maxsize=1)
def _load(trainer: Trainer, config: str) -> Work:
    """Once per worker process."""
    return trainer.load(SearchConfig.model_validate_json(config))
