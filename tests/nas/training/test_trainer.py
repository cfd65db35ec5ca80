from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from firmware.int8_model import Int8Model
from nas.search.jobs import Job, attempt
from nas.tasks import TaskData, load_task
from nas.training import (
    CheckpointError,
    EpochReport,
    Teacher,
    TrainingDiverged,
    TrainResult,
    TrainSettings,
    integer_accuracy,
    train,
)
from nas.training.network import Factor
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Activation

SHORT = {"epochs": 1.5, "qat_epochs": 1.5, "threads": 1}


@pytest.fixture(scope="module")
def digits() -> TaskData:
    return load_task("digits")


@pytest.fixture(scope="module")
def small(digits: TaskData) -> TaskData:
    """200 training and 100 validation images."""
    return replace(
        digits,
        x_train=digits.x_train[:200],
        y_train=digits.y_train[:200],
        x_val=digits.x_val[:100],
        y_val=digits.y_val[:100],
    )


def network(width: int = 4, classes: int = 10) -> Graph:
    builder = GraphBuilder((8, 8, 1))
    x = builder.conv("input", width, 3)
    x = builder.conv(builder.depthwise(x, 3, 2), 2 * width)
    x = builder.conv(builder.depthwise(x, 3), 2 * width)
    builder.dense(builder.global_avg_pool(x), classes)
    return builder.build("small")


def assert_same(a: Int8Model, b: Int8Model) -> None:
    assert a.quant == b.quant
    for name, layer in a.layers.items():
        np.testing.assert_array_equal(layer.weights, b.layers[name].weights)
        np.testing.assert_array_equal(layer.bias, b.layers[name].bias)
        np.testing.assert_array_equal(layer.weight_scales, b.layers[name].weight_scales)


def test_digits_are_learnt(digits: TaskData) -> None:
    result = train(network(12), digits, TrainSettings.for_task("digits", epochs=20, qat_epochs=3, threads=1))
    assert result.val_accuracy >= 0.95
    assert result.val_accuracy == integer_accuracy(result.model, digits.x_val, digits.y_val)
    assert abs(result.val_accuracy - result.fake_quant_val_accuracy) <= 1 / len(digits.x_val)
    assert abs(result.val_accuracy - result.float_val_accuracy) <= 0.03
    assert integer_accuracy(result.model, digits.x_test, digits.y_test) >= 0.94
    assert result.model.metadata["task"] == "digits"


def test_equal_arguments_give_equal_networks_and_torchs_own_state_stays(small: TaskData) -> None:
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    settings = TrainSettings.for_task("digits", **SHORT)
    first = train(network(), small, settings)
    torch.manual_seed(6)
    second = train(network(), small, settings)
    assert_same(first.model, second.model)
    torch.manual_seed(5)
    train(network(), small, settings)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    other = train(network(), small, settings.model_copy(update={"seed": 1}))
    with pytest.raises(AssertionError):
        assert_same(first.model, other.model)


def test_neither_test_images_nor_validation_labels_play_a_part_in_what_is_learnt(small: TaskData) -> None:
    settings = TrainSettings.for_task("digits", **SHORT)
    rest = replace(small, x_test=small.x_test[:0], y_test=small.y_test[:0], y_val=np.roll(small.y_val, 1))
    assert_same(train(network(), small, settings).model, train(network(), rest, settings).model)


class Interrupted(Exception):
    pass


def until(epoch: int) -> object:
    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise Interrupted

    return stop


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_interrupted_anywhere_ends_the_same(small: TaskData, tmp_path: Path, optimizer: str) -> None:
    rates = {"sgd": {}, "adamw": {"lr": 0.01, "qat_lr": 0.001}}[optimizer]
    settings = TrainSettings.for_task("digits", optimizer=optimizer, **SHORT, **rates)
    whole = train(network(), small, settings)
    assert [(report.epoch, report.phase) for report in whole.curve] == [
        (1, "float"),
        (2, "float"),
        (3, "qat"),
        (4, "qat"),
    ]
    for epoch in range(1, 5):
        checkpoint = tmp_path / f"{epoch}.npz"
        with pytest.raises(Interrupted):
            train(network(), small, settings, on_epoch=until(epoch), checkpoint=checkpoint)  # type: ignore[arg-type]
        resumed = train(network(), small, settings, checkpoint=checkpoint)
        assert_same(whole.model, resumed.model)
        assert without_seconds(whole) == without_seconds(resumed)


def test_learned_factors_survive_an_interruption(small: TaskData, tmp_path: Path) -> None:
    builder = GraphBuilder((8, 8, 1))
    v = builder.conv("input", 6, 3)
    embedding = builder.conv(builder.max_pool(v, 2, 2), 6, activation=Activation.NONE)
    x = builder.add(builder.scale(v), builder.upsample(embedding, (8, 8)))
    builder.dense(builder.global_avg_pool(x), 10)
    graph, settings = builder.build("condenser"), TrainSettings.for_task("digits", **SHORT)
    whole = train(graph, small, settings)
    factor = whole.model.quant["scale3"].scale / whole.model.quant["conv0"].scale
    assert abs(factor - 1) > 1e-3
    for epoch in (1, 3):
        checkpoint = tmp_path / f"{epoch}.npz"
        with pytest.raises(Interrupted):
            train(graph, small, settings, on_epoch=until(epoch), checkpoint=checkpoint)  # type: ignore[arg-type]
        assert_same(whole.model, train(graph, small, settings, checkpoint=checkpoint).model)


def without_seconds(result: TrainResult) -> object:
    curve = [replace(report, seconds=0.0) for report in result.curve]
    return (result.val_accuracy, result.float_val_accuracy, result.fake_quant_val_accuracy, result.epochs, curve)


def test_checkpoint_of_another_training(small: TaskData, tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.npz"
    settings = TrainSettings.for_task("digits", **SHORT)
    train(network(), small, settings, checkpoint=checkpoint)
    for graph, changed in ((network(8), settings), (network(), settings.model_copy(update={"lr": 0.3}))):
        with pytest.raises(CheckpointError, match=r"x\.npz is of another training"):
            train(graph, small, changed, checkpoint=checkpoint)


def test_without_quantised_training_ranges_come_from_calibration(small: TaskData) -> None:
    result = train(network(), small, TrainSettings.for_task("digits", epochs=4, qat_epochs=0, threads=1))
    assert result.epochs == 4
    assert abs(result.val_accuracy - result.float_val_accuracy) <= 0.05


def test_divergence(small: TaskData) -> None:
    with pytest.raises(TrainingDiverged, match=r"training diverged near epoch \d of 4"):
        train(network(), small, TrainSettings.for_task("digits", **{**SHORT, "lr": 1e30}))


def test_a_factor_that_underflows_is_a_divergence(small: TaskData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search takes it for the end of one candidate, with its reason."""
    begin = Factor.__init__

    def begin_low(self: Factor) -> None:
        begin(self)
        self.raw.data.fill_(-200)  # softplus(-200) is 0 in float32

    monkeypatch.setattr(Factor, "__init__", begin_low)
    builder = GraphBuilder((8, 8, 1))
    x = builder.conv("input", 4, 3, 2)
    x = builder.add(x, builder.scale(x))
    builder.dense(builder.global_avg_pool(x), 10)
    job = Job(0, "search", builder.build("scaled"), 0)
    settings = TrainSettings.for_task("digits", **SHORT)
    outcome = attempt(lambda job, on_tick: train(job.graph, small, settings), job, lambda tick: None)  # type: ignore[arg-type,return-value]
    assert outcome.why is not None
    assert outcome.why.startswith("TrainingDiverged: training diverged near epoch 2 of 4 (Scale 'scale1': factor 0.0")


def test_distilling_a_perfect_teacher_beats_noisy_labels(small: TaskData) -> None:
    noisy = replace(small, y_train=np.roll(small.y_train, 1))
    logits = 8 * torch.nn.functional.one_hot(torch.from_numpy(small.y_train.astype(np.int64)), 10).float()
    settings = TrainSettings.for_task("digits", epochs=40, qat_epochs=2, threads=1, distill={"alpha": 1.0})
    assert train(network(12), noisy, settings, teacher=Teacher(logits, 1.0)).val_accuracy > 0.5
    assert train(network(12), noisy, settings.model_copy(update={"distill": None})).val_accuracy < 0.3


def test_networks_that_do_not_fit_the_task(digits: TaskData) -> None:
    settings = TrainSettings.for_task("digits", **SHORT)
    with pytest.raises(NasError, match=r"network output \(1, 1, 9\): task 'digits' has 10 classes"):
        train(network(classes=9), digits, settings)
    builder = GraphBuilder((8, 9, 1))
    builder.dense("input", 10)
    with pytest.raises(NasError, match=r"network input \(8, 9, 1\): task 'digits' has images of shape \(8, 8, 1\)"):
        train(builder.build(), digits, settings)


@pytest.mark.parametrize("device", ["cuda:77", "gpu"])
def test_unknown_device(digits: TaskData, device: str) -> None:
    with pytest.raises(NasError, match=f"device '{device}' is not available"):
        train(network(), digits, TrainSettings.for_task("digits", device=device, **SHORT))
