from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware import reference
from firmware.int8_file import load_model
from nas.cli import train
from nas.tasks import load_task, to_int8
from search_spaces.builder import GraphBuilder
from tests.nas.cli.conftest import Ended, assert_one_sentence
from tests.nas.speech_folder import write_data_set

Nas = Callable[..., Ended]
SHORT = ("--task", "digits", "--epochs", 2, "--qat-epochs", 1, "--device", "cpu")


@pytest.fixture(autouse=True)
def graph_file(tmp_path: Path) -> Path:
    """A network for the digits that trains in a moment."""
    builder = GraphBuilder((8, 8, 1))
    x = builder.conv(builder.input, 4, 3, stride=2)
    builder.dense(builder.global_avg_pool(x), 10)
    path = tmp_path / "small.json"
    path.write_text(json.dumps(builder.build().to_json()))
    return path


def share_right(path: Path, split: str) -> float:
    task = load_task("digits")
    x, y = getattr(task, f"x_{split}"), getattr(task, f"y_{split}")
    return float(np.mean(reference.run(load_model(path), to_int8(x)).reshape(-1, 10).argmax(1) == y))


def test_document(nas: Nas, tmp_path: Path) -> None:
    ended = nas("train", "small.json", *SHORT, "--json")
    assert ended.code == 0
    document = ended.document
    assert document["model"] == "small-digits.int8"
    assert document["val_accuracy"] == share_right(tmp_path / "small-digits.int8", "val")
    assert document["test_accuracy"] is None
    assert document["epochs"] == len(document["curve"]) == 3
    assert document["settings"]["seed"] == 0
    assert [line.split(":")[0] for line in ended.err.splitlines()] == [
        "epoch 1/3 float",
        "epoch 2/3 float",
        "epoch 3/3 qat",
    ]


@pytest.mark.parametrize(("name", "shape"), [("tinyspeech-z", (49, 10, 1)), ("bc-resnet-1-bn", (98, 40, 1))])
def test_a_published_network_gets_the_classes_of_the_task(
    nas: Nas, tmp_path: Path, name: str, shape: tuple[int, int, int]
) -> None:
    write_data_set(tmp_path / "data")
    words = ("--task", "speech_commands:yes,no", "--data-root", "data", "--epochs", 0.1, "--qat-epochs", 0.1)
    ended = nas("train", name, *words, "--device", "cpu", "--json", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    file = f"{name}-speech_commands-yes-no.int8"  # without the colon that makes RUN:NUMBER of a name
    assert ended.document["model"] == file
    model = load_model(tmp_path / file)
    assert model.graph.output_shape == (1, 1, 2)  # it was published with 12
    assert model.graph.frontend is not None
    assert model.graph.frontend.shape == shape
    assert len(ended.document["clips_sha256"]) == 64
    assert model.metadata["clips_sha256"] == ended.document["clips_sha256"]


def test_the_test_split_only_when_asked(nas: Nas, tmp_path: Path) -> None:
    words = ("train", "small.json", *SHORT, "--set", "lr=0.1", "--set", "augment=false", "-o", "m.int8", "--quiet")
    ended = nas(*words, "--test", "--json")
    assert ended.err == ""
    assert ended.document["test_accuracy"] == share_right(tmp_path / "m.int8", "test")
    assert (ended.document["settings"]["lr"], ended.document["settings"]["augment"]) == (0.1, False)
    assert "of the test split, by the integer model (measured)" in nas(*words, "--test").out
    assert "test split" not in nas(*words).out


def test_an_interrupted_training_ends_as_if_it_had_not_been(
    nas: Nas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nas("train", "small.json", *SHORT, "-o", "whole.int8", "--json").document

    def stop(report: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train, "_line", stop)
        ended = nas("train", "small.json", *SHORT, "-o", "m.int8")
    assert ended.code == 130
    assert ended.err == (
        "interrupted: m.int8.checkpoint keeps the last epoch; go on with the same command and --resume\n"
    )
    refused = nas("train", "small.json", *SHORT, "-o", "m.int8")
    assert refused.code == 2
    assert_one_sentence(refused.err, "m.int8.checkpoint", "--resume")
    resumed = nas("train", "small.json", *SHORT, "-o", "m.int8", "--resume", "--json").document
    assert [row["loss"] for row in resumed["curve"]] == [row["loss"] for row in whole["curve"]]
    assert (tmp_path / "m.int8").read_bytes() == (tmp_path / "whole.int8").read_bytes()
    assert not (tmp_path / "m.int8.checkpoint").exists()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["small.json", "--task", "digit"], ["task 'digit' is unknown", "digits"]),
        (["mlperf-ic-resnet8", "--task", "digits"], ["32x32x3", "8x8x1"]),
        (["small.json", "--task", "digits", "--epochs", "0"], ["epochs", "0"]),
        (["small.json", "--task", "digits", "--set", "lr"], ["'lr' has no '='"]),
        (["small.json", "--task", "digits", "--set", "rate=1"], ["rate"]),
        (["small.json", "--task", "digits", "--device", "abacus"], ["device 'abacus'"]),
        (["small.json", "--task", "digits", "--resume"], ["nothing to resume", "small-digits.int8.checkpoint"]),
        (["small.json", "--task", "digits", "-o", "nowhere/m.int8"], ["nowhere"]),
        (["small.json", "--task", "digits", "-o", "m.txt"], ["--out m.txt is no NAME.int8"]),
        (["small.json", "--task", "digits", "-o", ".int8"], ["--out .int8 is no NAME.int8"]),
    ],
)
def test_bad_input(nas: Nas, tmp_path: Path, words: list[str], parts: list[str]) -> None:
    ended = nas("train", *words)
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, *parts)
    assert [path.name for path in tmp_path.iterdir()] == ["small.json"]
