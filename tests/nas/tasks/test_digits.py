from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from nas.tasks import TaskData, load_task

ALL = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


def test_split_never_changes() -> None:
    task = load_task("digits")
    digest = hashlib.sha256(b"".join(getattr(task, key).tobytes() for key in ALL)).hexdigest()
    assert digest == "2d9afa1acd4115be11f2c31436da23f742743de8362432498b4af986eb9ef092"


def test_sizes_shapes_and_types() -> None:
    task = load_task("digits")
    assert [len(task.x_train), len(task.x_val), len(task.x_test)] == [1079, 359, 359]
    assert task.input_shape == task.x_train.shape[1:] == (8, 8, 1)
    assert task.classes == 10
    assert all(getattr(task, key).dtype == np.uint8 for key in ALL)


def test_every_image_is_in_one_split_with_the_grey_values_of_the_source() -> None:
    task = load_task("digits")
    ours = np.concatenate([task.x_train, task.x_val, task.x_test]).reshape(-1, 64)
    source = load_digits().data
    # 16 levels become 255: 1 -> 15.9 -> 16, 8 -> 127.5 -> 128 (half to even), 16 -> 255.
    levels = np.array([0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255], np.uint8)
    expected = levels[source.astype(int)]
    assert sorted(map(bytes, ours)) == sorted(map(bytes, expected))


def test_stratified() -> None:
    task = load_task("digits")
    per_class = np.bincount(load_digits().target)
    for labels in (task.y_val, task.y_test):
        np.testing.assert_array_equal(np.bincount(labels), np.round(per_class * 0.2))


def test_data_root_is_not_touched(tmp_path: Path) -> None:
    task: TaskData = load_task("digits", tmp_path / "absent")
    assert len(task.x_train)
    assert not (tmp_path / "absent").exists()
