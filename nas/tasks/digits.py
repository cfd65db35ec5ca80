"""scikit-learn's 1,797 handwritten digits: the task that needs no files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.tasks.task import Augmentation, Task, TaskData

INPUT_SHAPE = (8, 8, 1)
CLASS_NAMES = tuple(str(digit) for digit in range(10))

_HELD_OUT = 0.2
"""Part of each class in the validation split, and again in the test split."""


def load(root: Path) -> TaskData:
    """60 % training, 20 % validation, 20 % test of each class; the images come with scikit-learn, not from ``root``."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.uint8)
    train, val, test = (np.sort(rows) for rows in _split(labels))
    return TaskData(
        name="digits",
        input_shape=INPUT_SHAPE,
        class_names=CLASS_NAMES,
        augmentation=Augmentation(shift=1),
        x_train=images[train],
        y_train=labels[train],
        x_val=images[val],
        y_val=labels[val],
        x_test=images[test],
        y_test=labels[test],
        source=_SOURCE,
    )


def _split(labels: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers of the three splits, stratified; hashes order the rows, so no library's random numbers matter."""
    keys = np.array([hashlib.sha256(b"digits %d" % row).digest() for row in range(len(labels))])
    shuffled = np.argsort(keys, kind="stable")
    train, val, test = [], [], []
    for label in np.unique(labels):
        rows = shuffled[labels[shuffled] == label]
        held = round(_HELD_OUT * len(rows))
        val.append(rows[:held])
        test.append(rows[held : 2 * held])
        train.append(rows[2 * held :])
    return np.concatenate(train), np.concatenate(val), np.concatenate(test)


_SOURCE = "scikit-learn's load_digits"

TASK = Task(
    name="digits",
    description="1,797 real handwritten digits, embedded: 1,079 training, 359 validation, 359 test images",
    input_shape=INPUT_SHAPE,
    class_names=CLASS_NAMES,
    load=load,
    find=lambda root: _SOURCE,
)
