from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nas
from estimators import Resources
from firmware.c_text import rows
from firmware.frontend import reference
from firmware.host import HostModel
from firmware.int8_model import Int8Model
from nas import api
from nas.tasks import TaskData
from nas.training import integer_accuracy
from search_spaces import Graph, GraphBuilder, NasError
from tests.conftest import CHECKOUT
from tests.nas.training.sounds import FRONTENDS, beeps

PROGRAM = """
import sys
import nas
assert nas.estimate("cifar-lite", "stm32l4r9").macs == 11_780_288
loaded = {"torch", "optuna", "ray", "tensorflow"} & set(sys.modules)
assert not loaded, loaded
search = nas.search
import nas.search.engine
from nas.search import SearchConfig
assert nas.search is search and callable(search)
assert nas.search.engine.search is not None
"""


@pytest.fixture
def graph() -> Graph:
    builder = GraphBuilder((8, 8, 1))
    x = builder.conv(builder.input, 4, 3, stride=2)
    builder.dense(builder.global_avg_pool(x), 10)
    return builder.build("small")


def test_importing_and_estimating_load_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names() -> None:
    assert set(nas.__all__) <= set(dir(nas))
    assert all(callable(getattr(nas, name)) for name in nas.__all__)
    with pytest.raises(AttributeError, match="no attribute 'find'"):
        nas.find  # noqa: B018


def test_from_training_to_the_proof(graph: Graph, tmp_path: Path) -> None:
    result = nas.train(graph, "digits", epochs=1, qat_epochs=1, device="cpu")
    assert isinstance(result.model, Int8Model)
    assert isinstance(nas.estimate(result.model, "stm32l4r9"), Resources)
    folder = nas.export(result.model, "stm32l4r9", tmp_path / "c", vectors=2)
    from_folder, from_model = nas.validate(folder), nas.validate(result.model, vectors=2)
    assert from_folder.bit_exact
    assert from_folder.to_dict() == from_model.to_dict()
    task = nas.load_task("digits")
    assert from_folder.test_images == len(task.x_test)


def test_search_in_a_folder_that_holds_it_already(tmp_path: Path) -> None:
    settings = {"trials": 1, "sampler": "random", "train": {"epochs": 1, "qat_epochs": 0}}
    first = nas.search("digits", "stm32l4r9", budget="macs=50k", out=tmp_path / "run", **settings)
    assert first.best_model is not None
    assert nas.estimate(first.best_model, "stm32l4r9").macs <= 50_000
    again = nas.search("digits", "stm32l4r9", budget="macs=50k", out=tmp_path / "run", **settings)
    assert again.best_model == first.best_model
    assert nas.estimate(tmp_path / "run", "stm32l4r9") == nas.estimate(first.best_model, "stm32l4r9")


def test_a_task_that_does_not_fit_the_network(graph: Graph) -> None:
    task = nas.load_task("digits")
    api.check_task(graph, task)
    builder = GraphBuilder((8, 8, 1))
    builder.conv(builder.input, 10)
    with pytest.raises(NasError, match=r"gives outputs of 8x8x10; task 'digits' needs 1x1x10"):
        api.check_task(builder.build("wide"), task)
    with pytest.raises(NasError, match=r"takes inputs of 32x32x3; the images of task 'digits' are 8x8x1"):
        nas.train("mlperf-ic-resnet8", "digits")


def test_a_model_without_task_is_validated_by_random_vectors(graph: Graph) -> None:
    from tests.strategies import random_int8_model

    model = random_int8_model(graph, np.random.default_rng(0))
    assert api.task_of(model, None) is None
    result = nas.validate(model)
    assert result.bit_exact
    assert result.test_accuracy is None
    with pytest.raises(NasError, match="3 test images are wanted as vectors, and no task"):
        nas.validate(model, vectors=3)


@pytest.fixture(scope="module")
def sounds() -> TaskData:
    return beeps(train=8, held_out=12)


@pytest.fixture(scope="module")
def listener(sounds: TaskData) -> Int8Model:
    """An untrained network that hears the second front end."""
    from firmware.frontend.tables import FEATURE_QUANT
    from tests.strategies import random_int8_model

    builder = GraphBuilder(FRONTENDS[1].shape, FRONTENDS[1])
    x = builder.conv(builder.input, 4, 3, stride=2)
    builder.dense(builder.global_avg_pool(x), 4)
    model = random_int8_model(builder.build("ears"), np.random.default_rng(0))
    return replace(model, quant={**model.quant, "input": FEATURE_QUANT})


def test_real_clips_are_exported(sounds: TaskData, listener: Int8Model, tmp_path: Path) -> None:
    assert sounds.sound is not None
    folder = nas.export(listener, "stm32l4r9", tmp_path / "c", task=sounds, vectors=3)
    text = (folder / "vectors.c").read_text()
    features = reference.features(FRONTENDS[1], sounds.sound.test)
    for values in (*sounds.sound.test[:2], *features[:3]):
        assert rows(values) in text
    assert rows(sounds.sound.test[2]) not in text
    silent = replace(listener, graph=replace(listener.graph, frontend=None))
    nas.export(silent, "stm32l4r9", tmp_path / "silent", task=sounds)  # features alone, of the default or by shape
    assert "clips" not in (tmp_path / "silent" / "vectors.h").read_text()


def test_sounds_are_validated_from_the_samples_on(
    sounds: TaskData, listener: Int8Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    features = HostModel.features
    monkeypatch.setattr(HostModel, "features", lambda host, clips: (heard.append(len(clips)), features(host, clips))[1])
    result = nas.validate(listener, task=sounds, vectors=9)
    assert result.bit_exact
    assert (result.vectors, result.clips, result.test_images) == (9, 8, 12)
    assert 12 in heard
    bound = sounds.bound_to(FRONTENDS[1])
    assert result.test_accuracy == integer_accuracy(listener, bound.x_test, bound.y_test)


@pytest.mark.parametrize("count", [-1, 0])
def test_vectors_are_at_least_one(graph: Graph, tmp_path: Path, count: int) -> None:
    from tests.strategies import random_int8_model

    model = random_int8_model(graph, np.random.default_rng(0))
    with pytest.raises(NasError, match=f"vectors is {count}; at least 1 expected"):
        nas.export(model, "stm32l4r9", tmp_path / "out", task="digits", vectors=count)
    with pytest.raises(NasError, match=f"vectors is {count}; at least 1 expected"):
        nas.validate(model, task="digits", vectors=count)
    assert not list(tmp_path.iterdir())
