"""A trainer without training: quick, deterministic, and able to fail in every way a real one can.

Importable by worker processes, which is why it is no test module.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from firmware.files import atomic_write
from firmware.int8_file import model_bytes
from firmware.int8_model import WEIGHTED, Int8Model, LayerWeights, Quant
from nas.search.config import SearchConfig
from nas.search.jobs import Job, OnTick, Say, Tick, Trained
from nas.search.progress import Progress
from nas.search.records import Record
from nas.search.run import Run
from nas.tasks import Augmentation, Task, TaskData, register_task
from nas.tasks.task import IMAGE_QUANT
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Conv2D, DepthwiseConv2D, FullyConnected, Op
from search_spaces.space import SearchSpace, get_space

EPOCHS = 4
BUDGET = "macs=200k,sram_bytes=8KiB"


def config(**changes: Any) -> SearchConfig:
    """A short search of a task whose data costs nothing to load."""
    fields = {"task": "noise", "budget": BUDGET, "trials": 7, "generation": 3, "promote": 2, **changes}
    return SearchConfig.of(**fields)


def noise(root: Path) -> TaskData:
    """Random images with random labels, of the shape of digits."""
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, high, (90, *shape), dtype=np.uint8) for high, shape in ((256, (8, 8, 1)), (10, ())))
    names = tuple("abcdefghij")
    return TaskData("noise", (8, 8, 1), names, Augmentation(), x[:30], y[:30], x[30:60], y[30:60], x[60:], y[60:])


register_task(Task("noise", "random images", (8, 8, 1), tuple("abcdefghij"), noise, lambda root: "made up"))


@cache
def space() -> SearchSpace:
    return get_space("ds_cnn", (8, 8, 1), 10)


def choices_of(seed: int) -> Mapping[str, str | int | float | bool]:
    """Choices of a network of the space, another for each seed."""
    return space().decode(space().draw(np.random.default_rng(seed), 1)[0])


def blank_model(graph: Graph, seed: int = 0) -> Int8Model:
    """A model with random integers for weights."""
    rng = np.random.default_rng(seed)
    quant = dict.fromkeys(graph.shapes, Quant(0.05, 0)) | {graph.input: IMAGE_QUANT}
    layers = {}
    for op in graph.ops:
        if isinstance(op, WEIGHTED):
            shape = weight_shape(graph, op)
            channels = graph.shapes[op.output][2]
            layers[op.output] = LayerWeights(
                rng.integers(-127, 128, shape, dtype=np.int8),
                np.full(channels, 0.01, np.float32),
                np.zeros(channels, np.int32),
            )
    return Int8Model(graph, quant, layers)


def weight_shape(graph: Graph, op: Op) -> tuple[int, ...]:
    height, width, channels = graph.shapes[op.inputs[0]]
    match op:
        case Conv2D():
            return (op.filters, *op.kernel, channels)
        case DepthwiseConv2D():
            return (*op.kernel, channels * op.multiplier)
        case FullyConnected():
            return (op.units, height * width * channels)
    raise TypeError(op)


@dataclass(frozen=True)
class FakeTrainer:
    """``fails``, ``dies``, ``leaves``: numbers of candidates whose training raises, kills its process, exits it.

    ``broken``: cannot prepare; ``lost``: why it cannot load.

    ``diary`` gets a line for every epoch trained: number, stage, epoch, process. ``seconds`` is the length of an epoch.
    """

    diary: str = ""
    seconds: float = 0.0
    fails: frozenset[int] = frozenset()
    dies: frozenset[int] = frozenset()
    leaves: frozenset[int] = frozenset()
    broken: bool = False
    lost: str = ""

    def prepare(self, config: SearchConfig, task: TaskData, say: Say) -> None:
        if self.broken:
            raise NasError("the teacher is ill")

    def load(self, config: SearchConfig) -> FakeWork:
        if self.lost:
            raise NasError(self.lost)
        return FakeWork(self)


@dataclass(frozen=True)
class FakeWork:
    trainer: FakeTrainer

    def __call__(self, job: Job, on_tick: OnTick) -> Trained:
        trainer = self.trainer
        first = 0
        if job.checkpoint is not None and job.checkpoint.exists():
            first = int(json.loads(job.checkpoint.read_text()))
        for epoch in range(first, EPOCHS):
            time.sleep(trainer.seconds)
            if trainer.diary:
                with open(trainer.diary, "a") as file:
                    file.write(f"{job.number} {job.stage} {epoch} {os.getpid()}\n")
            if job.checkpoint is not None:
                atomic_write(job.checkpoint, json.dumps(epoch + 1))
            on_tick(Tick(job.number, job.stage, epoch + 1, EPOCHS))
        if job.number in trainer.fails:
            raise RuntimeError("loss is not finite")
        if job.number in trainer.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if job.number in trainer.leaves:
            os._exit(3)
        accuracy = fake_accuracy(job)
        return Trained(
            model=model_bytes(blank_model(job.graph, job.seed)),
            val_accuracy=accuracy,
            float_val_accuracy=accuracy + 0.002,
            fake_quant_val_accuracy=accuracy + 0.001,
            curve=[{"epoch": epoch, "loss": 1 / (epoch + 1)} for epoch in range(EPOCHS)],
            train_seconds=0.5,
        )


def fake_accuracy(job: Job) -> float:
    """More MACs are better, with some luck that depends on network, seed and stage alone."""
    digest = hashlib.sha256(f"{job.graph.digest} {job.seed} {job.stage}".encode()).digest()
    luck = int.from_bytes(digest[:4], "big") / 2**32
    return round(0.99 - 2 / (2 + math.log(job.graph.macs)) + 0.03 * luck + 0.01 * (job.stage == "final"), 4)


def essence(folder: Path) -> list[Any]:
    """All that a search found: records, models, rejected draws. Only wall times are left out."""
    run = Run.open(folder)
    records = [record.model_dump(mode="json") for record in run.records()]
    models = {path.name: path.read_bytes() for path in sorted((folder / "models").iterdir())}
    return [records, models, json.loads((folder / "rejected.json").read_text())]


class Stopping(Progress):
    """Sends this process SIGINT when so many trainings have ended."""

    def __init__(self, after: int) -> None:
        self.left = after

    def ended(self, record: Record, training: Any, why: str | None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)
