"""What a task is: images or sounds, labels, splits and how they may be varied in training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.frontend.tables import FEATURE_QUANT
from firmware.int8_model import Quant
from nas.errors import DataError
from nas.units import extents
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from search_spaces.graph import Graph
from search_spaces.ops import Shape

__all__ = [
    "IMAGE_QUANT",
    "Augmentation",
    "DataError",
    "Sound",
    "SoundAugmentation",
    "Task",
    "TaskData",
    "from_int8",
    "sound_task",
    "to_int8",
]

IMAGE_QUANT = Quant(1 / 255, -128)
"""Images keep their bytes: integer = byte - 128, real value = byte / 255."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How training images are varied; all of it stays on the grid of bytes.

    ``shift``: largest translation in pixels, in each direction. ``reflect``: what moves in from outside is the mirrored
    image, else black. ``flip``: mirrored left to right with probability 1/2. ``cutout``: side of a square set to gray.
    """

    shift: int = 0
    reflect: bool = False
    flip: bool = False
    cutout: int = 0


@dataclass(frozen=True, slots=True)
class SoundAugmentation:
    """How training sounds are varied: waveforms first, then the features made of them (SpecAugment).

    ``shift``: largest shift in time in samples, in each direction; zeros move in. ``gain_db``: largest change of level
    in decibels, up or down. ``noise_probability``: share of clips to which an excerpt of a background recording is
    added, times a factor drawn evenly from 0 to ``noise_level``. ``time_masks`` runs of frames, each up to
    ``time_width`` of all frames wide, and ``frequency_masks`` runs of values of every frame, up to ``frequency_width``
    of all values, are set to 0; the widths are fractions, because front ends differ.
    """

    shift: int = 0
    gain_db: float = 0.0
    noise_probability: float = 0.0
    noise_level: float = 0.0
    time_masks: int = 0
    time_width: float = 0.0
    frequency_masks: int = 0
    frequency_width: float = 0.0


@dataclass(frozen=True, slots=True)
class Sound:
    """The sounds of a task: clips int16 (N, samples), in the order of the task's labels.

    ``noise``: background recordings (int16, one-dimensional, of any length), the part that training may use.
    ``silence``: label of the class that holds no word, None where there is none. ``frontends``: what a search may
    choose from, the default first; ``further`` ones are for networks whose input has their shape. All are of one sample
    rate and clip length. ``digest``: SHA-256 of all clips, training, validation and test one after the other; worked
    out where it is not given.
    """

    train: NDArray[np.int16]
    val: NDArray[np.int16]
    test: NDArray[np.int16]
    frontends: tuple[FrontEnd, ...]
    augmentation: SoundAugmentation = SoundAugmentation()
    noise: tuple[NDArray[np.int16], ...] = ()
    silence: int | None = None
    digest: str = ""
    further: tuple[FrontEnd, ...] = ()

    def __post_init__(self) -> None:
        if not self.digest:
            digest = hashlib.sha256()
            for clips in (self.train, self.val, self.test):
                digest.update(np.ascontiguousarray(clips).data)
            object.__setattr__(self, "digest", digest.hexdigest())


@dataclass(frozen=True, slots=True)
class TaskData:
    """A task with its data in memory: images uint8 (N, height, width, channels), labels uint8 (N,).

    Training sees ``x_train``; search, promotion and calibration see ``x_val``; ``x_test`` is for final networks alone.
    A task of ``sound`` has features for images, those that ``frontend`` makes of the clips: (N, frames, values, 1),
    bytes of int8 with the sign bit turned over, as ``to_int8`` expects.
    """

    name: str
    input_shape: Shape
    class_names: tuple[str, ...]
    augmentation: Augmentation
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.uint8]
    x_val: NDArray[np.uint8]
    y_val: NDArray[np.uint8]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.uint8]
    source: str = ""
    input_quant: Quant = IMAGE_QUANT
    sound: Sound | None = None
    frontend: FrontEnd | None = None

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def bound_to(self, frontend: FrontEnd | None) -> TaskData:
        """The same task as a network with this front end sees it; None is the task's default, or that of images.

        The features come from the cache where they are there. Raises NasError for a front end on a task of images, and
        for one that takes clips of another rate or length.
        """
        if self.sound is None:
            if frontend is not None:
                raise NasError(f"front end {frontend.name} needs sound; task {self.name!r} has images")
            return self
        default = self.sound.frontends[0]
        frontend = default if frontend is None else frontend
        if frontend == self.frontend:
            return self
        if (frontend.sample_rate, frontend.samples) != (default.sample_rate, default.samples):
            raise NasError(
                f"front end {frontend.name} takes {frontend.samples} samples at {frontend.sample_rate} Hz; "
                f"the clips of task {self.name!r} have {default.samples} at {default.sample_rate} Hz"
            )
        return replace(self, **_heard(self.sound, frontend))

    def for_network(self, graph: Graph) -> tuple[Graph, TaskData]:
        """``graph`` with its front end, and this task as that one shows it; both unchanged for a task of images.

        A graph that names no front end gets the task's first one that makes features of its input's shape: the default,
        those that searches choose from, further ones. Raises NasError where none does, and as ``bound_to`` does.
        """
        if self.sound is not None and graph.frontend is None:
            offered = (*self.sound.frontends, *self.sound.further)
            fitting = next((frontend for frontend in offered if frontend.shape == graph.input_shape), None)
            if fitting is None:
                shapes = dict.fromkeys(extents(frontend.shape) for frontend in offered)
                raise NasError(
                    f"network {graph.name!r} takes inputs of {extents(graph.input_shape)} and names no front end of "
                    f"its own; the front ends of task {self.name!r} make features of {', '.join(shapes)}"
                )
            graph = replace(graph, frontend=fitting)
        return graph, self.bound_to(graph.frontend)


@dataclass(frozen=True, slots=True)
class Task:
    """A task before its data is read.

    ``load(root)`` reads the data under the data root, downloading it where that is possible. ``find(root)`` tells what
    ``load`` would read without reading it, None when it is not there. ``with_options(text)`` is the task that
    ``name:text`` means, None for a task without options. ``class_names`` is empty where only the data tells them.
    """

    name: str
    description: str
    input_shape: Shape
    class_names: tuple[str, ...]
    load: Callable[[Path], TaskData]
    find: Callable[[Path], str | None]
    with_options: Callable[[str], Task] | None = None

    @property
    def classes(self) -> int:
        return len(self.class_names)


def sound_task(
    name: str, class_names: tuple[str, ...], sound: Sound, labels: Mapping[str, NDArray[np.uint8]], source: str = ""
) -> TaskData:
    """A task of ``sound``, bound to its default front end; ``labels`` of the splits ``train``, ``val`` and ``test``."""
    return TaskData(
        name=name,
        class_names=class_names,
        augmentation=Augmentation(),
        y_train=labels["train"],
        y_val=labels["val"],
        y_test=labels["test"],
        source=source,
        sound=sound,
        **_heard(sound, sound.frontends[0]),
    )


def _heard(sound: Sound, frontend: FrontEnd) -> dict[str, Any]:
    """The fields of a task of sound that its front end decides."""
    from nas.audio.cache import sound_features

    train, val, test = map(from_int8, sound_features(sound, frontend))
    return {
        "input_shape": frontend.shape,
        "input_quant": FEATURE_QUANT,
        "frontend": frontend,
        "x_train": train,
        "x_val": val,
        "x_test": test,
    }


def to_int8(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Bytes of images as the integers that an int8 model reads."""
    return (images ^ np.uint8(0x80)).view(np.int8)


def from_int8(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """The bytes that ``to_int8`` turns into ``values``."""
    return values.view(np.uint8) ^ np.uint8(0x80)
