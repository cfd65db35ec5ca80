"""Trains a graph for a task: floating point, fold, fake-quantised, integers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from firmware.int8_model import Int8Model
from nas.tasks.task import TaskData
from nas.training.convert import to_int8_model
from nas.training.devices import reproducible, resolve_device
from nas.training.evaluate import integer_accuracy, network_accuracy
from nas.training.session import EpochReport, OnEpoch, Session
from nas.training.settings import TrainSettings
from nas.training.teacher import Teacher, load_teacher
from search_spaces.errors import NasError
from search_spaces.graph import Graph


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training brought.

    ``val_accuracy`` is the integer model's over the whole validation split, by the numpy reference. Beside it, for
    comparison, stand those of the network in floating point, before fake quantisation began, and fake-quantised.
    ``seconds`` are wall time, of all sittings where the training was resumed.
    """

    model: Int8Model
    val_accuracy: float
    float_val_accuracy: float
    fake_quant_val_accuracy: float
    curve: tuple[EpochReport, ...]
    seconds: float
    epochs: int


def train(
    graph: Graph,
    task: TaskData,
    settings: TrainSettings,
    *,
    teacher: Teacher | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> TrainResult:
    """Trains ``graph`` on ``task`` from nothing, or from ``checkpoint`` where that file exists.

    The checkpoint is renewed after every epoch, then ``on_epoch`` is told. An exception from there ends the training; a
    later call with the same arguments goes on to the very result that the uninterrupted one would have had, given the
    same device and number of threads. Where ``settings.distill`` is set and no ``teacher`` given, the task's own is
    loaded or trained.

    Raises NasError when graph and task do not fit, TrainingDiverged when the loss is no number any more,
    CheckpointError when the checkpoint is damaged or of another training.

    For a task of sounds, ``graph`` names the front end; one that names none gets the task's first that makes features
    of its input's shape, and the trained model's graph names it.
    """
    graph, task = task.for_network(graph)
    _check_fit(graph, task)
    began = time.perf_counter()
    device = resolve_device(settings.device)
    if settings.distill is None:
        teacher = None
    elif teacher is None:
        teacher = load_teacher(task, device=settings.device, threads=settings.threads)
    with reproducible(device, settings.threads):
        session = Session(graph, task, settings, None if teacher is None else teacher.logits, device)
        session.run(on_epoch, checkpoint)
        progress, network = session.progress, session.network
        earlier = progress.seconds
        if not network.quant:
            session.quantise()
        metadata = {
            "task": task.name,
            "class_names": list(task.class_names),
            "settings": settings.model_dump(mode="json"),
        }
        if task.sound is not None:
            metadata["clips_sha256"] = task.sound.digest
        model = to_int8_model(network, progress.ranges, metadata)
        return TrainResult(
            model=model,
            val_accuracy=integer_accuracy(model, task.x_val, task.y_val),
            float_val_accuracy=progress.float_val_accuracy,
            fake_quant_val_accuracy=network_accuracy(network, session.val),
            curve=tuple(progress.curve),
            seconds=max(earlier, time.perf_counter() - began),
            epochs=progress.epoch,
        )


def _check_fit(graph: Graph, task: TaskData) -> None:
    if not graph.params:
        raise NasError(f"network {graph.name!r} has no weights, so there is nothing to train")
    if graph.input_shape != task.input_shape:
        raise NasError(f"network input {graph.input_shape}: task {task.name!r} has images of shape {task.input_shape}")
    height, width, channels = graph.output_shape
    if height * width * channels != task.classes:
        raise NasError(f"network output {graph.output_shape}: task {task.name!r} has {task.classes} classes")
