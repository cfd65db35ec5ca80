"""The teacher of a task: a larger network in floating point, trained once; what it says of the training images is kept.

Its logits are taken from the images as they are (averaged with those of the mirrored images where the task mirrors), so
distilling costs a student nothing per step but the loss. The teacher of a task of sounds hears them through the task's
default front end, whatever the student's is.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.cache import cache_folder
from nas.tasks.task import TaskData
from nas.training.batches import Images, training_data_digest
from nas.training.checkpoint import CheckpointError, load_arrays, save_arrays
from nas.training.devices import reproducible, resolve_device
from nas.training.evaluate import network_accuracy
from nas.training.network import Network
from nas.training.session import OnEpoch, Session
from nas.training.settings import TrainSettings
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Shape

_log = logging.getLogger(__name__)

_VERSION = 1
_BATCH = 250


@dataclass(frozen=True)
class Teacher:
    """``logits`` float (training images, classes) on the CPU; ``val_accuracy`` of the network that gave them."""

    logits: Tensor
    val_accuracy: float


@dataclass(frozen=True)
class Recipe:
    """A teacher's network, and how it is trained; of ``settings`` the part in floating point."""

    graph: Callable[[Shape, int], Graph]
    settings: TrainSettings


def load_teacher(
    task: TaskData,
    *,
    cache: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
) -> Teacher:
    """The teacher of ``task``: from the cache folder, else trained (interrupted, it goes on) and kept there.

    A damaged file is reported as a warning and made anew. Raises NasError for a task without a recipe.
    """
    kind = task.name.partition(":")[0]
    if kind not in RECIPES:
        raise NasError(f"task {task.name!r} has no teacher to distil from; tasks that have are {', '.join(RECIPES)}")
    recipe = RECIPES[kind]
    task = task.bound_to(None)
    graph = replace(recipe.graph(task.input_shape, task.classes), frontend=task.frontend)
    settings = recipe.settings.model_copy(update={"device": device, "threads": threads})
    key = _key(graph, settings, task)
    folder = cache_folder() if cache is None else cache
    path = folder / "teachers" / f"{kind}-{key[:16]}.npz"
    if path.exists():
        try:
            return _read(path, key, task)
        except CheckpointError as error:
            _log.warning("%s; the teacher is trained again", error)
    path.parent.mkdir(parents=True, exist_ok=True)
    teacher = _train(graph, task, settings, on_epoch, path.with_suffix(".part.npz"))
    _write(path, key, teacher)
    return teacher


def _train(graph: Graph, task: TaskData, settings: TrainSettings, on_epoch: OnEpoch | None, part: Path) -> Teacher:
    where = resolve_device(settings.device)
    with reproducible(where, settings.threads):
        try:
            session = Session(graph, task, settings, None, where)
            session.run(on_epoch, part)
        except CheckpointError as error:
            _log.warning("%s; the teacher is trained from the beginning", error)
            part.unlink(missing_ok=True)
            session = Session(graph, task, settings, None, where)
            session.run(on_epoch, part)
        logits = _logits(session.network, session.images, task.augmentation.flip)
        accuracy = network_accuracy(session.network, session.val)
    part.unlink(missing_ok=True)
    return Teacher(logits, accuracy)


@torch.no_grad()
def _logits(network: Network, images: Images, mirror: bool) -> Tensor:
    network.eval()
    batches = []
    for x, _ in images.batches(_BATCH):
        logits = network(x)
        batches.append((logits + network(x.flip(3))) / 2 if mirror else logits)
    return torch.cat(batches).cpu()


def _key(graph: Graph, settings: TrainSettings, task: TaskData) -> str:
    """Digest of all that decides what the teacher says."""
    about = {
        "version": _VERSION,
        "graph": graph.digest,
        "settings": settings.model_dump(mode="json", exclude={"device", "threads"}),
    }
    return hashlib.sha256((json.dumps(about, sort_keys=True) + training_data_digest(task)).encode()).hexdigest()


def _write(path: Path, key: str, teacher: Teacher) -> None:
    logits = teacher.logits.numpy()
    save_arrays(
        path,
        {"logits": logits},
        {"key": key, "sha256": _checksum(logits), "val_accuracy": teacher.val_accuracy},
    )


def _read(path: Path, key: str, task: TaskData) -> Teacher:
    arrays, document = load_arrays(path)
    logits = arrays.get("logits")
    expected = (len(task.x_train), task.classes)
    if logits is None or logits.shape != expected or logits.dtype != np.float32 or not np.isfinite(logits).all():
        raise CheckpointError(f"{path} holds no teacher for task {task.name!r}")
    if document.get("key") != key or document.get("sha256") != _checksum(logits):
        raise CheckpointError(f"{path} does not match its checksum")
    return Teacher(torch.from_numpy(logits), float(document["val_accuracy"]))


def _checksum(logits: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(logits).data).hexdigest()


def _small_cnn(input_shape: Shape, classes: int) -> Graph:
    """Plain 3x3 convolutions for 8x8 images; 80 k parameters."""
    builder = GraphBuilder(input_shape)
    x = builder.conv(builder.input, 32, 3)
    x = builder.conv(x, 32, 3)
    x = builder.conv(x, 64, 3, 2)
    x = builder.conv(x, 64, 3)
    builder.dense(builder.global_avg_pool(x), classes)
    return builder.build("digits-teacher")


def _resnet9(input_shape: Shape, classes: int) -> Graph:
    """A ResNet-9 of a quarter of its usual width, for 32x32 images; 24 M MACs, 412 k parameters."""
    builder = GraphBuilder(input_shape)
    x = builder.conv(builder.conv(builder.input, 16, 3), 32, 3)
    x = _residual(builder, builder.max_pool(x, 2, 2))
    x = builder.max_pool(builder.conv(x, 64, 3), 2, 2)
    x = _residual(builder, builder.max_pool(builder.conv(x, 128, 3), 2, 2))
    builder.dense(builder.max_pool(x, 4, 4), classes)
    return builder.build("cifar10-teacher")


def _speech_resnet(input_shape: Shape, classes: int) -> Graph:
    """Residual 3x3 convolutions after a strided stem, for features of some 50 frames; 370 k parameters."""
    builder = GraphBuilder(input_shape)
    x = builder.conv(builder.input, 64, 5, 2)
    x = _residual(builder, _residual(builder, x))
    x = _residual(builder, builder.conv(x, 96, 3, 2))
    builder.dense(builder.global_avg_pool(x), classes)
    return builder.build("speech-teacher")


def _residual(builder: GraphBuilder, x: str) -> str:
    width = builder.shape(x)[2]
    return builder.add(builder.conv(builder.conv(x, width, 3), width, 3), x)


RECIPES = {
    "digits": Recipe(_small_cnn, TrainSettings.for_task("digits", epochs=40.0, qat_epochs=0.0)),
    "cifar10": Recipe(
        _resnet9,
        TrainSettings.for_task("cifar10", epochs=14.0, qat_epochs=0.0, batch_size=128, lr=0.3, weight_decay=5e-4),
    ),
    "speech_commands": Recipe(
        _speech_resnet,
        TrainSettings.for_task("speech_commands", epochs=16.0, qat_epochs=0.0, lr=0.004, weight_decay=0.05),
    ),
}
