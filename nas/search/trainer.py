"""The trainer of real searches: quantisation-aware training, distilled where the settings say so."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from firmware.int8_file import model_bytes
from nas.search.config import SearchConfig, Stage
from nas.search.jobs import Job, OnTick, Say, Tick, Trained, Work
from nas.tasks import TaskData, load_task
from nas.units import percent

if TYPE_CHECKING:
    from nas.training import EpochReport

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QatTrainer:
    """Trains with the configuration's settings; each candidate's seed is its own."""

    def prepare(self, config: SearchConfig, task: TaskData, say: Say) -> None:
        """Trains the teacher, or finds it in the cache, so that workers only read it; ``say`` hears of its epochs."""
        from nas.training import load_teacher

        def on_epoch(report: EpochReport) -> None:
            say(f"teacher: epoch {report.epoch} of {report.epochs}, {percent(report.val_accuracy)} val")

        stages: list[Stage] = ["search", "final"] if config.promote else ["search"]
        for settings in map(config.settings, stages):
            if settings.distill is not None:
                load_teacher(task, device=settings.device, on_epoch=on_epoch)  # on all cores: no worker needs them yet

    def load(self, config: SearchConfig) -> Work:
        """Reads the data once."""
        return _Trainings(config, load_task(config.task, config.data_root))


@dataclass(frozen=True)
class _Trainings:
    config: SearchConfig
    task: TaskData

    def __call__(self, job: Job, on_tick: OnTick) -> Trained:
        from nas.training import CheckpointError, train

        settings = self.config.settings(job.stage).model_copy(update={"seed": job.seed})

        def on_epoch(report: EpochReport) -> None:
            note = f"{percent(report.val_accuracy)} val"
            on_tick(Tick(job.number, job.stage, report.epoch, report.epochs, note))

        try:
            result = train(job.graph, self.task, settings, on_epoch=on_epoch, checkpoint=job.checkpoint)
        except CheckpointError as error:
            if job.checkpoint is None:
                raise
            _log.warning("%s; candidate %d is trained from the beginning", error, job.number)
            job.checkpoint.unlink(missing_ok=True)
            result = train(job.graph, self.task, settings, on_epoch=on_epoch, checkpoint=job.checkpoint)
        return Trained(
            model=model_bytes(result.model),
            val_accuracy=result.val_accuracy,
            float_val_accuracy=result.float_val_accuracy,
            fake_quant_val_accuracy=result.fake_quant_val_accuracy,
            curve=[asdict(report) for report in result.curve],
            train_seconds=result.seconds,
        )
