from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware import reference
from firmware.frontend.reference import features
from firmware.frontend.tables import FEATURE_QUANT
from firmware.int8_model import Int8Model
from nas.audio.classify import Heard, classify_files
from nas.audio.wav import AudioError, read_clip
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from tests.strategies import random_int8_model

FRONTEND = FrontEnd(samples=4000)
NAMES = ("yes", "no", "silence")


def sound_model(frontend: FrontEnd = FRONTEND, *, softmax: bool = False) -> Int8Model:
    """An untrained network of three classes behind a front end."""
    builder = GraphBuilder(frontend.shape)
    x = builder.conv(builder.input, 4, 3, stride=2)
    logits = builder.dense(builder.global_avg_pool(x), len(NAMES))
    if softmax:
        builder.softmax(logits)
    graph = replace(builder.build("ears"), frontend=frontend)
    model = random_int8_model(graph, np.random.default_rng(3))
    return Int8Model(graph, {**model.quant, "input": FEATURE_QUANT}, model.layers, {"class_names": list(NAMES)})


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).integers(-9000, 9000, 10_000, np.int16), 16_000)
    return path


def test_the_outputs_are_those_of_the_device(noise: Path) -> None:
    model = sound_model()
    (heard,) = classify_files(model, [noise])
    expected = reference.run(model, features(FRONTEND, read_clip(noise, 16_000, 4000)[None])).reshape(-1)
    np.testing.assert_array_equal(heard.outputs, expected)
    quant = model.quant[model.graph.output]
    real = quant.scale * (expected.astype(float) - quant.zero_point)
    np.testing.assert_allclose(heard.probabilities, np.exp(real) / np.exp(real).sum())
    assert heard.class_name == NAMES[int(expected.argmax())]
    assert (heard.file, heard.seconds) == (str(noise), 0.0)


def test_clips_along_a_file(noise: Path) -> None:
    model = sound_model()
    heard = classify_files(model, [noise], every=0.1)
    # 10,000 samples hold clips of 4,000 that begin at 0, 1,600, 3,200 and 4,800.
    assert [clip.seconds for clip in heard] == [0.0, 0.1, 0.2, 0.3]
    sound = read_clip(noise, 16_000)
    third = reference.run(model, features(FRONTEND, sound[None, 3200:7200])).reshape(-1)
    np.testing.assert_array_equal(heard[2].outputs, third)
    assert heard[0] == classify_files(model, [noise])[0]


def test_a_short_file_is_one_clip_however_it_is_cut(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.ones(100, np.int16), 16_000)
    once = classify_files(sound_model(), [tmp_path / "short.wav"])
    assert classify_files(sound_model(), [tmp_path / "short.wav"], every=0.05) == once


def test_a_model_that_ends_in_softmax_gives_its_own_probabilities(noise: Path) -> None:
    model = sound_model(softmax=True)
    (heard,) = classify_files(model, [noise])
    np.testing.assert_allclose(heard.probabilities, (np.array(heard.outputs) + 128) / 256)


def test_a_model_without_class_names_has_their_numbers(noise: Path) -> None:
    model = sound_model()
    (heard,) = classify_files(Int8Model(model.graph, model.quant, model.layers), [noise])
    assert heard.class_names == ("0", "1", "2")


def test_nothing_is_classified_unless_every_file_can_be_read(noise: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"absent\.wav cannot be read"):
        classify_files(sound_model(), [noise, tmp_path / "absent.wav"])


def test_what_is_no_model_of_sound_and_no_time(noise: Path) -> None:
    model = sound_model()
    deaf = Int8Model(replace(model.graph, frontend=None), model.quant, model.layers)
    with pytest.raises(NasError, match="model 'ears' names no front end"):
        classify_files(deaf, [noise])
    for every in (0.0, -1.0, 1e-9, float("nan"), float("inf")):
        with pytest.raises(NasError, match=r"every is .*; a sample, 6\.25e-05 s, or more expected"):
            classify_files(model, [noise], every=every)


def test_the_first_of_equals_wins() -> None:
    assert Heard("f", 0.0, NAMES, (5, 9, 9), (0.2, 0.4, 0.4)).class_name == "no"
