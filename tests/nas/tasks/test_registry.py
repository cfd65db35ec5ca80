from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.tasks import data_root, get_task, load_task, register_task, task_names, to_int8
from nas.tasks.task import IMAGE_QUANT
from search_spaces.errors import NasError


def test_names() -> None:
    assert task_names()[:2] == ("digits", "cifar10")


def test_unknown_task_names_the_known_ones() -> None:
    with pytest.raises(NasError, match="task 'mnist' is unknown; known are digits, cifar10"):
        load_task("mnist")


def test_name_is_registered_once() -> None:
    with pytest.raises(NasError, match="'digits' is registered already"):
        register_task(get_task("digits"))


def test_data_root_explicit_then_environment_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_DATA", "/from/environment")
    assert data_root("/explicit") == Path("/explicit")
    assert data_root() == Path("/from/environment")
    monkeypatch.delenv("NAS_DATA")
    assert data_root() == Path(".data")


def test_bytes_become_the_integers_of_the_input_quantisation() -> None:
    images = np.array([0, 1, 127, 128, 255], np.uint8)
    integers = to_int8(images)
    np.testing.assert_array_equal(integers, [-128, -127, -1, 0, 127])
    np.testing.assert_allclose((integers.astype(float) - IMAGE_QUANT.zero_point) * IMAGE_QUANT.scale, images / 255)
