"""What a task is: images, labels, splits and how they may be varied in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware.int8_model import Quant
from search_spaces.errors import NasError
from search_spaces.ops import Shape

IMAGE_QUANT = Quant(1 / 255, -128)
"""Images keep their bytes: integer = byte - 128, real value = byte / 255."""


class DataError(NasError):
    """A data set is missing, damaged or not what the task expects."""


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
class TaskData:
    """A task with its data in memory: images uint8 (N, height, width, channels), labels uint8 (N,).

    Training sees ``x_train``; search, promotion and calibration see ``x_val``; ``x_test`` is for final networks alone.
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

    @property
    def classes(self) -> int:
        return len(self.class_names)


@dataclass(frozen=True, slots=True)
class Task:
    """A task before its data is read.

    ``load(root)`` reads the data under the data root, downloading it where that is possible. ``find(root)`` tells what
    ``load`` would read without reading it, None when it is not there.
    """

    name: str
    description: str
    input_shape: Shape
    class_names: tuple[str, ...]
    load: Callable[[Path], TaskData]
    find: Callable[[Path], str | None]

    @property
    def classes(self) -> int:
        return len(self.class_names)


def to_int8(images: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Bytes of images as the integers that an int8 model reads."""
    return (images ^ np.uint8(0x80)).view(np.int8)
