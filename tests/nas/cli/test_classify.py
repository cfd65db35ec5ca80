from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import nas as package
from firmware.int8_file import save_model
from tests.nas.audio.test_classify import NAMES, sound_model
from tests.nas.cli.conftest import Ended, assert_one_sentence

Nas = Callable[..., Ended]


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    save_model(sound_model(), tmp_path / "ears.int8")
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", rng.integers(-9000, 9000, 4000, np.int16), 16_000)
    soundfile.write(tmp_path / "b.flac", rng.integers(-90, 90, (20_000, 2), np.int16), 44_100)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:1000])


def test_lines(nas: Nas) -> None:
    ended = nas("classify", "ears.int8", "a.wav", "b.flac")
    assert (ended.code, ended.err) == (0, "")
    head, first, second, about = ended.out.splitlines()
    assert head.split() == ["file", "from", "class", "probability", "next"]
    assert first.startswith("a.wav")
    assert second.startswith("b.flac")
    assert sum(name in first for name in NAMES) == 3
    assert about == "probability: softmax of the int8 model's outputs as real numbers, not calibrated"


def test_a_name_that_is_no_text(nas: Nas, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.wav")
    (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
    ended = nas("classify", "ears.int8", name)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[1].startswith(r"\xff.wav")
    assert nas("classify", "ears.int8", name, "--json").document["clips"][0]["file"] == name


def test_document(nas: Nas) -> None:
    ended = nas("classify", "ears.int8", "a.wav", "b.flac", "--every", 0.1, "--json")
    clips = ended.document["clips"]
    assert [(clip["file"], clip["seconds"]) for clip in clips] == [
        ("a.wav", 0.0),
        ("b.flac", 0.0),
        ("b.flac", 0.1),
        ("b.flac", 0.2),
    ]
    heard = package.classify("ears.int8", ["a.wav", "b.flac"], every=0.1)
    for clip, expected in zip(clips, heard, strict=True):
        assert clip["class"] == expected.class_name
        assert tuple(clip["outputs"]) == expected.outputs
        assert tuple(clip["probabilities"]) == NAMES
        assert clip["probability"] == max(clip["probabilities"].values())
        assert sum(clip["probabilities"].values()) == pytest.approx(1)
    assert "not calibrated" in ended.document["probabilities_are"]


def test_one_file_from_python(tmp_path: Path) -> None:
    model, file = tmp_path / "ears.int8", tmp_path / "a.wav"
    assert package.classify(model, file) == package.classify(model, str(file)) == package.classify(model, [file])


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("ears.int8", "a.wav", "cut.wav"), ("cut.wav is cut short", "956 are there")),
        (("ears.int8", "absent.wav"), ("absent.wav", "No such file")),
        (("ears.int8", "ears.int8"), ("ears.int8 is no audio file that can be read",)),
        (("ears.int8", "."), (". is a folder",)),
        (("absent.int8", "a.wav"), ("absent.int8",)),
        (("ears.int8", "a.wav", "--every", 0), ("every is 0.0",)),
        (("ears.int8",), ("FILE",)),
    ],
)
def test_bad_input(nas: Nas, words: tuple[object, ...], parts: tuple[str, ...]) -> None:
    ended = nas("classify", *words)
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, *parts)


def test_a_model_of_images(nas: Nas, model_file: Path) -> None:
    ended = nas("classify", model_file, "a.wav")
    assert ended.code == 2
    assert_one_sentence(ended.err, "model 'tiny' names no front end")
