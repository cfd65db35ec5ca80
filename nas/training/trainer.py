"""Trains a graph for a task: floating point, fold, fake-quantised, integers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
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

    For a task of sounds, ``graph`` names the front end; one that names none, but takes the default's features, gets
    that, and the trained model's graph names it.
    """
    graph, task = bound(graph, task)
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


def bound(graph: Graph, task: TaskData) -> tuple[Graph, TaskData]:
    """``graph`` with its front end and ``task`` as that front end shows it; both unchanged for a task of images.

    Raises NasError for a front end that the task's data does not suit, and for a graph of sounds that has none.
    """
    if task.sound is not None and graph.frontend is None:
        default = task.sound.frontends[0]
        if graph.input_shape != default.shape:
            raise NasError(
                f"network input {graph.input_shape}: features of task {task.name!r} have shape {default.shape} "
                f"(front end {default.name}), and the network names no front end of its own"
            )
        graph = replace(graph, frontend=default)
    return graph, task.bound_to(graph.frontend)


def _check_fit(graph: Graph, task: TaskData) -> None:
    if not graph.params:
        raise NasError(f"network {graph.name!r} has no weights, so there is nothing to train")
    if graph.input_shape != task.input_shape:
        raise NasError(f"network input {graph.input_shape}: task {task.name!r} has images of shape {task.input_shape}")
    height, width, channels = graph.output_shape
    if height * width * channels != task.classes:
        raise NasError(f"network output {graph.output_shape}: task {task.name!r} has {task.classes} classes")
