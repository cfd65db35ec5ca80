"""The search: draw what fits, train it, record it, tell Optuna; in the end train the best longer and test the front."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from estimators.budget import violations
from estimators.resources import Resources
from estimators.targets import load_target
from firmware.int8_file import load_model
from nas.search import journal
from nas.search.config import SearchConfig, Stage
from nas.search.executors import Executor, open_executor
from nas.search.filter import ResourceFilter, SpaceExhausted, full_budget, numbers
from nas.search.interrupt import Stopped, stopped_by_signals
from nas.search.jobs import Job, Outcome, Trained, Trainer
from nas.search.progress import Progress
from nas.search.records import Drawn, Record, Training
from nas.search.run import JOURNAL, Run, versions
from nas.search.samplers import FeasibleSampler, sampler_class
from nas.search.selection import front, next_generation, promotion
from nas.search.summary import RunSummary, Status
from nas.tasks import TaskData, get_task, load_task
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.space import get_space, space_class

FAILURES = 5
"""Trainings failing in a row after which something other than the networks must be wrong."""


def search(
    config: SearchConfig,
    run_dir: str | Path,
    progress: Progress | None = None,
    trainer: Trainer | None = None,
) -> RunSummary:
    """Runs the search that ``config`` describes in the folder ``run_dir``, or goes on with it when it was interrupted.

    Ctrl-C and SIGTERM end it early, in order (status ``stopped``). Raises NasError for bad input, before anything is
    written: an unknown name, missing data, a budget that nothing meets (BudgetError), a folder that holds something
    else; and later when trainings keep failing or when the run folder cannot be written.
    """
    began = time.monotonic()
    progress = progress or Progress()
    _check_names(config)  # before data is read, which may take minutes or be downloaded first
    task = load_task(config.task, config.data_root)
    if not (Path(run_dir) / "records").exists():
        # Says now whether the budget can be met at all. The same draws come again for candidate 0.
        probe = _sampler(config, task)
        probe.find(journal.open_study(None, probe), 0)
    sampler = _sampler(config, task)
    if trainer is None:
        from nas.search.trainer import QatTrainer

        trainer = QatTrainer()
    clips = None if task.sound is None else task.sound.digest
    with Run.claim(run_dir, config, clips) as run, progress:
        progress.say(f"run folder {run.path}; budget {str(config.budget) or 'the chip itself'}")
        engine = _Search(run, config, task, sampler, trainer, progress)
        status: Status
        try:
            with stopped_by_signals():
                engine.work()
            status, message = engine.status, ""
        except Stopped as stop:
            run.save_rejected(engine.drawn)
            status, message = "stopped", f"stopped by {stop}; go on with: nas search --resume {run.path}"
        except OSError as error:
            raise NasError(
                f"run {run.path} ended with {error.strerror or type(error).__name__}"
                f"{f' ({error.filename})' if error.filename else ''}; "
                f"when that is mended, go on with: nas search --resume {run.path}"
            ) from error
    return RunSummary.of(run.path, engine.records.values(), status, message, engine.drawn, time.monotonic() - began)


def resume(
    run_dir: str | Path, progress: Progress | None = None, trainer: Trainer | None = None, **where: Any
) -> RunSummary:
    """Goes on with the run in ``run_dir``; ``where`` may name ``executor``, ``jobs`` and ``data_root``."""
    config = Run.open(run_dir).config
    return search(SearchConfig.of(**{**dict(config), **where}), run_dir, progress, trainer)


class _Search:
    """One run being worked on; its lock is held."""

    def __init__(
        self,
        run: Run,
        config: SearchConfig,
        task: TaskData,
        sampler: FeasibleSampler,
        trainer: Trainer,
        progress: Progress,
    ) -> None:
        self.run = run
        self.config = config
        self.task = task
        self.sampler = sampler
        self.trainer = trainer
        self.progress = progress
        self.status: Status = "complete"
        self.generation = config.generation if sampler.learns else 0
        self.drawn = Drawn()
        self.records: dict[int, Record] = {}
        self.unfinished: deque[Record] = deque()

    def work(self) -> None:
        """Everything from wherever the run stands to its end."""
        self.open()
        if self.missing or self.promoted:
            self.trainer.prepare(self.config, self.task, self.progress.say)
            executor = open_executor(self.trainer, self.config, self.progress.tick)
            try:
                self.progress.stage("search", self.complete, self.config.trials)
                self.train(executor, self.next_candidate, "search")
                promoted = deque(self.promoted)
                if promoted:
                    self.progress.stage("final training", self.config.promote - len(promoted), self.config.promote)
                    self.train(executor, lambda: promoted.popleft() if promoted else None, "final")
            finally:
                executor.close()
        self.test()
        self.report()

    def open(self) -> None:
        """Reads the records and makes Optuna's journal agree with them."""
        self.run.sweep()
        lost = journal.mend(self.run.path / JOURNAL)
        if lost:
            self.progress.say(f"{JOURNAL} was cut: its last {lost} bytes are dropped, the records make up for them")
        before = self.run.versions
        changed = [
            f"{name} {before.get(name)} (now {now})" for name, now in versions().items() if before.get(name) != now
        ]
        if changed:
            self.progress.say(f"this run was begun with other versions: {', '.join(changed)}")
        sound = self.task.sound
        if sound is not None and self.run.clips_sha256 not in (None, sound.digest):
            self.progress.say("this run was begun with other clips: its accuracies are not comparable with new ones")
        self.study = journal.open_study(self.run.path / JOURNAL, self.sampler)
        for record in self.run.records():
            self.records[record.number] = record
            self.sampler.remember(record.number, record.choices, record.digest, record.drawn)
            journal.enter(self.study, self.sampler.distributions, record)
            if record.status == "running":
                self.unfinished.append(record)
            else:
                self.run.checkpoint(record.number, "search").unlink(missing_ok=True)
        self.drawn = Drawn.total(record.drawn for record in self.records.values())
        if self.records:
            self.progress.say(f"going on with {self.complete} trained candidates and {len(self.unfinished)} begun ones")

    @property
    def complete(self) -> int:
        return sum(record.status == "complete" for record in self.records.values())

    @property
    def missing(self) -> int:
        return max(self.config.trials - self.complete, 0)

    @property
    def promoted(self) -> list[Record]:
        """Candidates still to be trained longer."""
        chosen = promotion(list(self.records.values()), self.config.promote)
        return [record for record in chosen if record.final is None and record.final_why is None]

    def next_candidate(self) -> Record | None:
        """One to train: an unfinished one first, then a new one; None while or because there is none."""
        if self.unfinished:
            return self.unfinished.popleft()
        generation = next_generation(self.records.values(), self.config.trials, self.generation)
        if generation is None or self.status == "exhausted":
            return None
        number = len(self.records)
        if self.generation:
            earlier = sum(record.generation < generation for record in self.records.values())
            self.sampler.horizon = earlier
        try:
            candidate, drawn = self.sampler.find(self.study, number)
        except SpaceExhausted as error:
            self.status = "exhausted"
            self.progress.say(f"{error}; the search ends here")
            return None
        record = Record(
            number=number,
            generation=generation,
            choices=candidate.choices,
            digest=candidate.graph.digest,
            resources=numbers(candidate.resources),
            kinds=dict(candidate.resources.kinds),
            constraints=candidate.violations,
            drawn=drawn,
        )
        self.drawn = Drawn.total([self.drawn, drawn])
        self.keep(record)
        return record

    def keep(self, record: Record) -> None:
        """The record first; when it is on the disk, Optuna."""
        self.run.save_record(record)
        self.records[record.number] = record
        journal.enter(self.study, self.sampler.distributions, record)

    def train(self, executor: Executor, next_record: Callable[[], Record | None], stage: Stage) -> None:
        """Trains what ``next_record`` gives until it gives nothing more and all is done."""
        under_way = failures = 0
        while True:
            while under_way < executor.slots and (record := next_record()) is not None:
                executor.submit(self.job(record, stage))
                under_way += 1
            if not under_way:
                return
            outcome = executor.wait()
            under_way -= 1
            self.finish(outcome)
            failures = 0 if outcome.trained else failures + 1
            if failures == FAILURES:
                raise NasError(
                    f"{failures} trainings in a row failed, the last one because: {outcome.why}; "
                    f"when that is mended, go on with: nas search --resume {self.run.path}"
                )

    def job(self, record: Record, stage: Stage) -> Job:
        graph = self.graph(record)
        seed = np.random.SeedSequence([self.config.seed, record.number, 1 if stage == "final" else 0])
        checkpoint = self.run.checkpoint(record.number, stage)
        return Job(record.number, stage, graph, int(seed.generate_state(1)[0]), checkpoint)

    def graph(self, record: Record) -> Graph:
        graph = self.sampler.space.build(record.choices)
        if graph.digest != record.digest:
            raise NasError(
                f"candidate {record.number} of run {self.run.path} builds another network than when it was drawn: "
                f"space {self.config.space!r} has changed since"
            )
        return graph

    def finish(self, outcome: Outcome) -> None:
        """Model, record, Optuna, in this order; then the checkpoint has served."""
        number, stage = outcome.job.number, outcome.job.stage
        record = self.records[number]
        training = self.training(outcome.job, outcome.trained) if outcome.trained else None
        if stage == "final":
            record = record.changed(final=training, final_why=outcome.why, test_accuracy=None)
        elif training is None:
            record = record.changed(status="failed", why=outcome.why)
        else:
            record = record.changed(status="complete", training=training)
        if record.best is not None:
            record = record.changed(constraints=self.constraints(record, record.best.val_accuracy))
        self.keep(record)
        self.run.checkpoint(number, stage).unlink(missing_ok=True)
        self.progress.ended(record, training, outcome.why)

    def constraints(self, record: Record, accuracy: float) -> dict[str, float]:
        values: dict[str, Any] = dict(record.resources)
        return violations(Resources(**values, kinds=record.kinds), self.sampler.filter.budget, accuracy)

    def training(self, job: Job, trained: Trained) -> Training:
        return Training(
            val_accuracy=trained.val_accuracy,
            float_val_accuracy=trained.float_val_accuracy,
            fake_quant_val_accuracy=trained.fake_quant_val_accuracy,
            curve=trained.curve,
            train_seconds=trained.train_seconds,
            model=self.run.save_model(job.number, job.stage, trained.model),
        )

    def test(self) -> None:
        """Evaluates the networks of the final front on the test split: once, whoever resumes the run later."""
        from nas.training import integer_accuracy

        for record in front(self.records.values()):
            if record.test_accuracy is None and record.best is not None:
                model = load_model(self.run.path / record.best.model)
                task = self.task.bound_to(model.graph.frontend)
                accuracy = integer_accuracy(model, task.x_test, task.y_test)
                self.keep(record.changed(test_accuracy=accuracy))

    def report(self) -> None:
        """Front and rejected draws as files for people."""
        from nas.report import write_report

        self.run.save_rejected(self.drawn)
        write_report(self.run)


def _check_names(config: SearchConfig) -> None:
    """Raises NasError where there is no such task, target, space or sampler."""
    get_task(config.task)
    load_target(config.target)
    space_class(config.space)
    sampler_class(config.sampler)


def _sampler(config: SearchConfig, task: TaskData) -> FeasibleSampler:
    kind = sampler_class(config.sampler)
    target = load_target(config.target)
    frontends = () if task.sound is None else task.sound.frontends
    space = get_space(config.space, task.input_shape, task.classes, frontends)
    return kind(ResourceFilter(space, target, full_budget(config.budget, target)), config.seed)
