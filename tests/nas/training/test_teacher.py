from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.tasks import TaskData, load_task
from nas.training import EpochReport, Teacher, load_teacher, teacher
from search_spaces.errors import NasError


@pytest.fixture
def task() -> TaskData:
    digits = load_task("digits")
    return replace(digits, x_train=digits.x_train[:300], y_train=digits.y_train[:300])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = teacher.RECIPES["digits"]
    settings = recipe.settings.model_copy(update={"epochs": 2.0})
    monkeypatch.setitem(teacher.RECIPES, "digits", replace(recipe, settings=settings))


def trainings(task: TaskData, cache: Path) -> tuple[int, Teacher]:
    """Number of epochs that loading the teacher took."""
    reports: list[EpochReport] = []
    found = load_teacher(task, cache=cache, threads=1, on_epoch=reports.append)
    return len(reports), found


def test_trained_once(task: TaskData, tmp_path: Path) -> None:
    epochs, first = trainings(task, tmp_path)
    assert epochs == 2
    assert first.logits.shape == (300, 10)
    epochs, second = trainings(task, tmp_path)
    assert epochs == 0
    assert torch.equal(first.logits, second.logits)
    assert first.val_accuracy == second.val_accuracy
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_other_images_get_their_own(task: TaskData, tmp_path: Path) -> None:
    trainings(task, tmp_path)
    other = replace(task, x_train=np.ascontiguousarray(task.x_train[::-1]))
    assert trainings(other, tmp_path)[0] == 2


@pytest.mark.parametrize("damage", ["cut", "flip", "swap"])
def test_damaged_file_is_reported_and_made_anew(
    task: TaskData, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    _, first = trainings(task, tmp_path)
    (path,) = tmp_path.rglob("*.npz")
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[:-20])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:  # the file is sound, its content is not
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        np.savez(path, **{**arrays, "logits": arrays["logits"] + 1})
    with caplog.at_level(logging.WARNING):
        epochs, again = trainings(task, tmp_path)
    assert epochs == 2
    assert path.name in caplog.text
    assert "trained again" in caplog.text
    assert torch.equal(first.logits, again.logits)


def test_interrupted_training_goes_on(task: TaskData, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def stop(report: EpochReport) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        load_teacher(task, cache=tmp_path, threads=1, on_epoch=stop)
    epochs, resumed = trainings(task, tmp_path)
    assert epochs == 1
    _, whole = trainings(task, tmp_path / "other")
    assert torch.equal(whole.logits, resumed.logits)


def test_task_without_a_recipe(task: TaskData) -> None:
    with pytest.raises(NasError, match="task 'speech' has no teacher to distil from; tasks that have are digits"):
        load_teacher(replace(task, name="speech"))


def test_every_task_has_a_recipe_that_fits() -> None:
    for name, shape in (("digits", (8, 8, 1)), ("cifar10", (32, 32, 3))):
        recipe = teacher.RECIPES[name]
        graph = recipe.graph(shape, 10)
        assert (graph.input_shape, graph.output_shape) == (shape, (1, 1, 10))
        assert recipe.settings.qat_epochs == 0
