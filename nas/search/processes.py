"""Trainings in local worker processes, each on one core, each replaced after some trainings."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from nas.search.config import SearchConfig
from nas.search.jobs import Job, OnTick, Outcome, Tick, Trainer, attempt
from search_spaces.errors import NasError

RECYCLE = 20
"""Trainings after which a worker is replaced: what libraries leak goes with it."""

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: Connection[Any, Any]
    job: Job | None = None
    done: int = 0


class Processes:
    """``config.jobs`` worker processes, started when first needed.

    A worker that dies (out of memory, a crash in a library) fails the job it had and is replaced. Workers end with this
    process even when it is killed, so that no orphan goes on writing checkpoints.
    """

    def __init__(self, trainer: Trainer, config: SearchConfig, on_tick: OnTick) -> None:
        self.slots = config.jobs
        self._trainer = trainer
        self._config = config
        self._on_tick = on_tick
        self._context: SpawnContext = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def submit(self, job: Job) -> None:
        worker = next((one for one in self._workers if one.job is None), None)
        if worker is None:
            if len(self._workers) >= self.slots:
                raise RuntimeError(f"all {self.slots} workers are busy")
            worker = self._start()
        worker.job = job
        try:
            worker.pipe.send(job)
        except OSError:
            # It died idle; nothing was lost but itself.
            self._end(worker)
            return self.submit(job)

    def wait(self) -> Outcome:
        while True:
            busy = {one.pipe: one for one in self._workers if one.job is not None}
            if not busy:
                raise RuntimeError("no job is under way")
            for ready in wait(list(busy)):
                outcome = self._receive(busy[ready])  # type: ignore[index]  # only pipes were waited for
                if outcome is not None:
                    return outcome

    def close(self) -> None:
        for worker in list(self._workers):
            self._end(worker)

    def _receive(self, worker: _Worker) -> Outcome | None:
        """Takes one message; returns an outcome when that was one, or when the worker has died instead."""
        job = worker.job
        assert job is not None
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            self._end(worker)
            return Outcome(job, why=f"its worker process died ({_ending(worker.process.exitcode)})")
        if isinstance(message, Tick):
            self._on_tick(message)
            return None
        if isinstance(message, BaseException):
            raise message
        if not isinstance(message, Outcome):
            raise NasError(f"worker processes cannot start: {message}")
        worker.job = None
        worker.done += 1
        if worker.done >= RECYCLE:
            self._end(worker)
        return message

    def _start(self) -> _Worker:
        here, there = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(there, self._trainer, self._config), name="nas-worker", daemon=True
        )
        with environment(ONE_THREAD):
            process.start()
        there.close()
        worker = _Worker(process, here)
        self._workers.append(worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        worker.pipe.close()
        self._workers.remove(worker)
        worker.process.join(timeout=0.2 if worker.job is None else 0)
        worker.process.kill()
        worker.process.join()


def _serve(pipe: Connection[Any, Any], trainer: Trainer, config: SearchConfig) -> None:
    """A worker's life: load once, then train what comes until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the search decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _end_with_parent()
    try:
        work = trainer.load(config)
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")
        return
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(attempt(work, job, pipe.send))
        except (OSError, NasError) as error:
            pipe.send(error)
        except Exception as error:
            if not isinstance(error.__cause__, OSError):
                raise
            pipe.send(error.__cause__)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Sets variables for processes started meanwhile: libraries read them while they load."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return f"{name}, probably out of memory" if name == "SIGKILL" else name
