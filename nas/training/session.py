"""A training under way: its network, optimiser, random numbers and place in the plan, savable between epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from firmware.quantize import Range
from nas.tasks.task import TaskData
from nas.training.batches import training_batches, training_data_digest, validation_batches
from nas.training.checkpoint import Arrays, CheckpointError, load_arrays, save_arrays
from nas.training.evaluate import network_accuracy
from nas.training.network import Network, Seen
from nas.training.optimisation import cosine, loss, one_cycle, optimiser
from nas.training.ranges import FOLLOW_EVERY, FOLLOW_UNTIL, averaged, extremes, followed
from nas.training.settings import TrainSettings
from search_spaces.errors import NasError
from search_spaces.graph import Graph

_VERSION = 1
_CALIBRATION_BATCHES, _CALIBRATION_IMAGES = 8, 256
_CLIP = 1.0
"""Largest norm of all gradients in fake-quantised training: no BatchNorm holds a step in check any more."""


class TrainingDiverged(NasError):
    """The loss or an activation stopped being a number, or a learned factor left what integers can stand for."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How a training stands after ``epoch`` of ``epochs``.

    ``phase`` is "float" or "qat", ``val_accuracy`` that of the network in torch over the whole validation split.
    """

    epoch: int
    epochs: int
    phase: str
    loss: float
    val_accuracy: float
    seconds: float


OnEpoch = Callable[[EpochReport], None]


@dataclass(frozen=True, slots=True)
class _Epoch:
    """Steps ``first`` up to ``first + steps`` of the ``total`` of a phase."""

    phase: str
    first: int
    steps: int
    total: int


@dataclass
class _Progress:
    """What a checkpoint keeps beside arrays: plain JSON."""

    epoch: int = 0
    seconds: float = 0.0
    ranges: dict[str, Range] = field(default_factory=dict)
    float_val_accuracy: float = math.nan
    curve: list[EpochReport] = field(default_factory=list)


class Session:
    """Trains ``graph`` on ``task``; ``teacher`` holds logits for every training image, None where nothing is distilled.

    Everything random is drawn from one generator, seeded by the settings, so equal arguments give equal networks.
    """

    def __init__(
        self, graph: Graph, task: TaskData, settings: TrainSettings, teacher: Tensor | None, device: torch.device
    ) -> None:
        self.task, self.settings, self.device = task, settings, device
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.images = training_batches(task, device, settings.augment, settings.versions)
        self.val = validation_batches(task, device)
        self.teacher = None if teacher is None else teacher.to(device)
        network = Network(graph, task.input_quant, self.generator)
        self.network: Network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batch = min(settings.batch_size, len(self.images))
        self.plan = self._planned("float", settings.epochs) + self._planned("qat", settings.qat_epochs)
        self.optimiser = optimiser(self.network, settings, decay=True)
        self.progress = _Progress()
        self._data = training_data_digest(task)

    def run(self, on_epoch: OnEpoch | None = None, checkpoint: Path | None = None) -> None:
        """Trains to the end of the plan, from ``checkpoint`` where it exists; that is renewed after every epoch."""
        if checkpoint is not None and checkpoint.exists():
            self._restore(checkpoint)
        began = time.perf_counter() - self.progress.seconds
        for epoch in self.plan[self.progress.epoch :]:
            self.images.begin(self.progress.epoch)
            if epoch.phase == "qat" and epoch.first == 0:
                self.quantise()
            mean_loss = self._epoch(epoch)
            self.progress.epoch += 1
            if not math.isfinite(mean_loss):
                raise self._diverged(f"the loss is {mean_loss}")
            accuracy = network_accuracy(self.network, self.val)
            self.progress.seconds = time.perf_counter() - began
            report = EpochReport(
                self.progress.epoch, len(self.plan), epoch.phase, mean_loss, accuracy, self.progress.seconds
            )
            self.progress.curve.append(report)
            if checkpoint is not None:
                self._save(checkpoint)
            if on_epoch is not None:
                on_epoch(report)

    @torch.no_grad()
    def quantise(self) -> None:
        """Folds, finds the ranges of activations from some batches, and turns fake quantisation on."""
        self.images.begin(self.progress.epoch)
        self.progress.float_val_accuracy = network_accuracy(self.network, self.val)
        self.network.fold()
        self.network.eval()
        batches = []
        for _ in range(_CALIBRATION_BATCHES):
            rows = torch.randperm(len(self.images), generator=self.generator)[:_CALIBRATION_IMAGES].to(self.device)
            seen: Seen = {}
            self.network(self._inputs(rows), seen=seen)
            batches.append(self._extremes(seen))
        self._set_ranges(averaged(batches))
        self.optimiser = optimiser(self.network, self.settings, decay=False)

    def _planned(self, phase: str, epochs: float) -> list[_Epoch]:
        """Epochs of a phase, the last one shorter where there is a fraction; a batch that is not full is left out."""
        whole = len(self.images) // self.batch
        total = max(round(epochs * whole), 1) if epochs > 0 else 0
        return [_Epoch(phase, first, min(whole, total - first), total) for first in range(0, total, whole)]

    def _epoch(self, epoch: _Epoch) -> float:
        """Trains through the images in a new order; mean loss."""
        self.network.train()
        order = torch.randperm(len(self.images), generator=self.generator).to(self.device)
        total = torch.zeros((), device=self.device)
        for step in range(epoch.steps):
            rows = order[step * self.batch : (step + 1) * self.batch]
            total += self._step(rows, epoch, epoch.first + step)
        return float(total) / epoch.steps

    def _step(self, rows: Tensor, epoch: _Epoch, step: int) -> Tensor:
        qat = epoch.phase == "qat"
        rate = self._rate(qat, step / epoch.total)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        follow = qat and step % FOLLOW_EVERY == 0 and step < FOLLOW_UNTIL * epoch.total
        seen: Seen | None = {} if follow else None
        logits = self.network(self._inputs(rows), seen=seen)
        soft = None if self.teacher is None else self.teacher[rows]
        batch_loss = loss(logits, self.images.labels[rows], self.settings, soft)
        self.optimiser.zero_grad(set_to_none=True)
        batch_loss.backward()  # type: ignore[no-untyped-call]
        if qat:
            nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        if seen:
            self._set_ranges(followed(self.progress.ranges, self._extremes(seen)))
        return batch_loss.detach()

    def _rate(self, qat: bool, progress: float) -> float:
        if qat:
            return self.settings.qat_lr * cosine(progress)
        shape = one_cycle if self.settings.schedule == "one-cycle" else cosine
        return self.settings.lr * shape(progress)

    def _inputs(self, rows: Tensor) -> Tensor:
        return self.images.augmented(rows, self.generator)

    def _extremes(self, seen: Seen) -> dict[str, Range]:
        ranges = extremes(seen)
        if not all(math.isfinite(bound) for pair in ranges.values() for bound in pair):
            raise self._diverged("activations are not finite")
        return ranges

    def _set_ranges(self, ranges: dict[str, Range]) -> None:
        """Fake-quantises with ``ranges``; TrainingDiverged where a factor or a scale has left what float32 holds."""
        try:
            self.network.quantise_with(ranges)
        except NasError as error:
            raise self._diverged(str(error)) from error
        self.progress.ranges = ranges

    def _diverged(self, how: str) -> TrainingDiverged:
        return TrainingDiverged(
            f"training diverged near epoch {max(self.progress.epoch, 1)} of {len(self.plan)} ({how}); lr "
            f"{self.settings.lr} or qat_lr {self.settings.qat_lr} is too large for this network"
        )

    @property
    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must agree in to be continued."""
        return {
            "version": _VERSION,
            "graph": self.network.graph.digest,
            "task": self.task.name,
            "data": self._data,
            "distilled": self.teacher is not None,
            "settings": self.settings.model_dump(mode="json", exclude={"device", "threads"}),
        }

    def _save(self, path: Path) -> None:
        arrays: Arrays = {"generator": self.generator.get_state().numpy()}
        for name, tensor in self.network.state_dict().items():
            arrays[f"network/{name}"] = tensor.cpu().numpy()
        for number, state in self.optimiser.state_dict()["state"].items():
            for name, value in state.items():
                arrays[f"optimiser/{number}/{name}"] = value.cpu().numpy()
        save_arrays(path, arrays, {"identity": self._identity, "progress": asdict(self.progress)})

    def _restore(self, path: Path) -> None:
        arrays, document = load_arrays(path)
        if document.get("identity") != self._identity:
            raise CheckpointError(f"{path} is of another training; remove it, or train as it was begun")
        self.progress = _progress_from(document["progress"])
        if self.progress.ranges:
            self.network.fold()
            self.optimiser = optimiser(self.network, self.settings, decay=False)
        self.generator.set_state(torch.from_numpy(arrays.pop("generator")))
        network: dict[str, Tensor] = {}
        state: dict[int, dict[str, Tensor]] = {}
        for key, array in arrays.items():
            kind, _, name = key.partition("/")
            if kind == "network":
                network[name] = torch.from_numpy(array)
            else:
                number, _, name = name.partition("/")
                state.setdefault(int(number), {})[name] = torch.from_numpy(array)
        self.network.load_state_dict(network)
        if self.progress.ranges:
            self.network.quantise_with(self.progress.ranges)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})


def _progress_from(document: dict[str, Any]) -> _Progress:
    return _Progress(
        epoch=document["epoch"],
        seconds=document["seconds"],
        ranges={name: (low, high) for name, (low, high) in document["ranges"].items()},
        float_val_accuracy=document["float_val_accuracy"],
        curve=[EpochReport(**row) for row in document["curve"]],
    )
