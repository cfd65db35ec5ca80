"""Trainings on sounds, with the made-up task of ``sounds``."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.tasks import TaskData, load_task
from nas.training import (
    CheckpointError,
    EpochReport,
    Teacher,
    TrainResult,
    TrainSettings,
    integer_accuracy,
    load_teacher,
    teacher,
    train,
)
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from search_spaces.graph import Graph
from tests.nas.training.sounds import FRONTENDS, beeps
from tests.nas.training.test_trainer import assert_same

SETTINGS: dict[str, Any] = {"optimizer": "adamw", "lr": 0.01, "qat_lr": 0.001, "threads": 1}
SHORT: dict[str, Any] = {**SETTINGS, "epochs": 2.5, "qat_epochs": 1.5, "batch_size": 32}


@pytest.fixture(scope="module")
def sounds() -> TaskData:
    return beeps()


def listener(frontend: FrontEnd | None, shape: tuple[int, int, int] = FRONTENDS[0].shape) -> Graph:
    builder = GraphBuilder(shape if frontend is None else frontend.shape)
    x = builder.conv(builder.conv("input", 8, 3, 2), 16, 3)
    builder.dense(x, 4)  # no pooling: a tone is known by its place
    return replace(builder.build("listener"), frontend=frontend)


@pytest.mark.parametrize("frontend", [None, *FRONTENDS], ids=["default", "mfcc", "log-mel"])
def test_sounds_are_learnt(sounds: TaskData, frontend: FrontEnd | None) -> None:
    settings = TrainSettings.for_task("beeps", **SETTINGS, epochs=6, qat_epochs=1, batch_size=16, versions=4)
    result = train(listener(frontend), sounds, settings)
    assert result.val_accuracy > 0.9
    heard = sounds.bound_to(frontend)
    assert result.model.graph.frontend == heard.frontend
    assert sounds.sound is not None
    assert result.model.metadata["clips_sha256"] == sounds.sound.digest
    assert result.model.quant["input"] == heard.input_quant
    assert result.val_accuracy == integer_accuracy(result.model, heard.x_val, heard.y_val)
    assert abs(result.val_accuracy - result.fake_quant_val_accuracy) <= 1 / len(heard.x_val)


class Interrupted(Exception):
    pass


def without_seconds(result: TrainResult) -> object:
    return [replace(report, seconds=0.0) for report in result.curve], result.val_accuracy


@pytest.mark.parametrize("versions", [0, 3])
def test_interrupted_anywhere_ends_the_same(sounds: TaskData, tmp_path: Path, versions: int) -> None:
    settings = TrainSettings.for_task("beeps", **SHORT, versions=versions)
    whole = train(listener(None), sounds, settings)
    assert whole.epochs == 5

    for last in range(1, 6):

        def stop(report: EpochReport, last: int = last) -> None:
            if report.epoch == last:
                raise Interrupted

        checkpoint = tmp_path / f"{last}.npz"
        with pytest.raises(Interrupted):
            train(listener(None), sounds, settings, on_epoch=stop, checkpoint=checkpoint)
        resumed = train(listener(None), sounds, settings, checkpoint=checkpoint)
        assert_same(whole.model, resumed.model)
        assert without_seconds(whole) == without_seconds(resumed)


def test_a_checkpoint_belongs_to_its_front_end_and_its_clips(sounds: TaskData, tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.npz"
    settings = TrainSettings.for_task("beeps", **SHORT)
    train(listener(FRONTENDS[0]), sounds, settings, checkpoint=checkpoint)
    assert sounds.sound is not None
    quiet = replace(sounds, sound=replace(sounds.sound, noise=()))
    similar = replace(FRONTENDS[0], low_hz=60)
    for graph, task in ((listener(similar), sounds), (listener(FRONTENDS[0]), quiet)):
        with pytest.raises(CheckpointError, match=r"x\.npz is of another training"):
            train(graph, task, settings, checkpoint=checkpoint)
    train(listener(None), sounds, settings, checkpoint=checkpoint)  # the default front end is the same one


def test_front_ends_that_do_not_suit_the_task(sounds: TaskData) -> None:
    settings = TrainSettings.for_task("beeps", **SHORT)
    with pytest.raises(
        NasError, match=r"inputs of 7x11x1 and names no .*; .* task 'beeps' make features of 14x8x1, 7x1"
    ):
        train(listener(None, (7, 11, 1)), sounds, settings)
    with pytest.raises(NasError, match=r"front end .* takes 16000 samples at 16000 Hz"):
        train(listener(FrontEnd()), sounds, settings)
    with pytest.raises(NasError, match=r"front end .* needs sound; task 'digits' has images"):
        train(listener(FRONTENDS[0]), load_task("digits"), settings)


def test_the_teacher_of_a_task_with_options_hears_the_default_front_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = teacher.RECIPES["speech_commands"]
    settings = recipe.settings.model_copy(update={"epochs": 1.0, "batch_size": 16})
    monkeypatch.setitem(teacher.RECIPES, "speech_commands", replace(recipe, settings=settings))
    task = beeps(train=32, held_out=8, name="speech_commands:yes,no")
    made = load_teacher(task.bound_to(FRONTENDS[1]), cache=tmp_path, threads=1)
    assert made.logits.shape == (32, 4)
    reports: list[EpochReport] = []
    again = load_teacher(task, cache=tmp_path, threads=1, on_epoch=reports.append)
    assert not reports
    assert (again.logits == made.logits).all()
    with caplog.at_level(logging.WARNING):
        distilled = TrainSettings.for_task("beeps", **SHORT, distill={})
        result = train(listener(FRONTENDS[1]), task, distilled, teacher=Teacher(made.logits, made.val_accuracy))
    assert result.model.graph.frontend == FRONTENDS[1]
    assert not caplog.records
