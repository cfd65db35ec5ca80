"""Every executor with the same jobs, and each in its own misfortunes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.search import processes
from nas.search.executors import Executor, InProcess, open_executor
from nas.search.jobs import Job, Outcome, Tick, Trainer
from nas.search.processes import Processes
from search_spaces.errors import NasError
from tests.nas.search.fakes import FakeTrainer, choices_of, config, fake_accuracy, space


def jobs(count: int, folder: Path | None = None) -> list[Job]:
    return [
        Job(number, "search", space().build(choices_of(number)), number, folder and folder / str(number))
        for number in range(count)
    ]


def work_through(executor: Executor, todo: list[Job]) -> list[Outcome]:
    """All outcomes, in the order of numbers, with every slot kept busy."""
    waiting, outcomes, under_way = list(todo), [], 0
    while waiting or under_way:
        while waiting and under_way < executor.slots:
            executor.submit(waiting.pop(0))
            under_way += 1
        outcomes.append(executor.wait())
        under_way -= 1
    return sorted(outcomes, key=lambda outcome: outcome.job.number)


@pytest.fixture
def ticks() -> list[Tick]:
    return []


def opened(trainer: Trainer, kind: str, count: int, ticks: list[Tick]) -> Executor:
    return open_executor(trainer, config(executor=kind, jobs=count), ticks.append)


@pytest.mark.parametrize("kind", ["inprocess", "processes"])
def test_jobs_come_back_trained_or_with_a_reason(kind: str, ticks: list[Tick], tmp_path: Path) -> None:
    todo = jobs(5, tmp_path)
    executor = opened(FakeTrainer(fails=frozenset({1, 3})), kind, 2, ticks)
    try:
        outcomes = work_through(executor, todo)
    finally:
        executor.close()
    assert [outcome.job for outcome in outcomes] == todo
    for outcome in outcomes:
        if outcome.job.number in (1, 3):
            assert (outcome.trained, outcome.why) == (None, "RuntimeError: loss is not finite")
        else:
            assert outcome.trained is not None
            assert outcome.trained.val_accuracy == fake_accuracy(outcome.job)
    assert sorted((tick.number, tick.done) for tick in ticks) == [(n, done) for n in range(5) for done in (1, 2, 3, 4)]


def test_a_dead_worker_fails_its_job_alone(ticks: list[Tick]) -> None:
    executor = opened(FakeTrainer(dies=frozenset({1}), leaves=frozenset({3})), "processes", 2, ticks)
    try:
        outcomes = work_through(executor, jobs(5))
    finally:
        executor.close()
    whys = [outcome.why for outcome in outcomes]
    assert whys == [
        None,
        "its worker process died (SIGKILL, probably out of memory)",
        None,
        "its worker process died (exit code 3)",
        None,
    ]


def test_a_worker_that_dies_idle_costs_nothing(ticks: list[Tick]) -> None:
    executor = opened(FakeTrainer(), "processes", 1, ticks)
    assert isinstance(executor, Processes)
    first, second = jobs(2)
    try:
        executor.submit(first)
        assert executor.wait().trained
        worker = executor._workers[0].process
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
        executor.submit(second)
        assert executor.wait().trained
    finally:
        executor.close()


def test_workers_are_replaced_after_some_jobs(
    ticks: list[Tick], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "RECYCLE", 2)
    diary = tmp_path / "diary"
    executor = opened(FakeTrainer(diary=str(diary)), "processes", 1, ticks)
    try:
        work_through(executor, jobs(5))
    finally:
        executor.close()
    by_worker: dict[str, set[str]] = {}
    for line in diary.read_text().splitlines():
        number, _, _, process = line.split()
        by_worker.setdefault(process, set()).add(number)
    assert list(by_worker.values()) == [{"0", "1"}, {"2", "3"}, {"4"}]
    assert not any(Path(f"/proc/{process}").exists() for process in by_worker)


def test_closing_ends_work_under_way(ticks: list[Tick]) -> None:
    executor = opened(FakeTrainer(seconds=30), "processes", 2, ticks)
    assert isinstance(executor, Processes)
    for job in jobs(2):
        executor.submit(job)
    workers = [worker.process for worker in executor._workers]
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < 10
    assert not any(worker.is_alive() for worker in workers)


def test_workers_that_cannot_start_say_why(ticks: list[Tick]) -> None:
    executor = opened(FakeTrainer(lost="no data in the worker"), "processes", 1, ticks)
    executor.submit(jobs(1)[0])
    try:
        with pytest.raises(NasError, match="worker processes cannot start: NasError: no data in the worker"):
            executor.wait()
    finally:
        executor.close()


@pytest.mark.parametrize("kind", ["inprocess", "processes"])
def test_a_full_disk_is_no_failed_training(kind: str, ticks: list[Tick], tmp_path: Path) -> None:
    """Whatever concerns every job ends the search instead of candidate after candidate."""
    (tmp_path / "0").mkdir()  # where the checkpoint should be read
    for folder, kind_of_error in (
        (tmp_path, "Is a directory"),
        (tmp_path / "gone", "could not be written: No such file"),
    ):
        executor = opened(FakeTrainer(), kind, 1, ticks)
        executor.submit(jobs(1, folder)[0])
        try:
            with pytest.raises((OSError, NasError), match=kind_of_error):
                executor.wait()
        finally:
            executor.close()


def test_inprocess_keeps_interruptions() -> None:
    def interrupt(tick: Tick) -> None:
        raise KeyboardInterrupt

    executor = InProcess(FakeTrainer(), config(), interrupt)
    executor.submit(jobs(1)[0])
    with pytest.raises(KeyboardInterrupt):
        executor.wait()


@pytest.fixture(scope="module")
def ray_session() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    yield
    ray.shutdown()


@pytest.mark.usefixtures("ray_session")
def test_ray(ticks: list[Tick]) -> None:
    """One session, as starting it takes seconds: trained, failed and lost jobs."""
    executor = opened(FakeTrainer(fails=frozenset({1}), dies=frozenset({2})), "ray", 2, ticks)
    try:
        outcomes = work_through(executor, jobs(4))
    finally:
        executor.close()
    assert [outcome.why for outcome in outcomes] == [
        None,
        "RuntimeError: loss is not finite",
        "its Ray worker was lost (WorkerCrashedError)",
        None,
    ]
    trained = [outcome.trained.val_accuracy for outcome in outcomes if outcome.trained]
    assert trained == [fake_accuracy(job) for job in jobs(4) if job.number in (0, 3)]
