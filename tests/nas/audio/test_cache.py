from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from firmware.frontend import reference
from nas.audio import cache
from nas.tasks import Sound
from search_spaces.frontend import Features, FrontEnd

FRONTEND = FrontEnd(samples=2000)
OTHER = FrontEnd(samples=2000, features=Features.LOG_MEL, coefficients=0, mel_bands=20)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def sound() -> Sound:
    rng = np.random.default_rng(5)
    train, val, test = (rng.integers(-9000, 9000, (count, 2000), np.int16) for count in (5, 3, 2))
    return Sound(train, val, test, (FRONTEND, OTHER))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of clips whose features were computed."""
    counts: list[int] = []
    compute = cache.compute

    def counted(frontend: FrontEnd, clips: Any) -> Any:
        counts.append(len(clips))
        return compute(frontend, clips)

    monkeypatch.setattr(cache, "compute", counted)
    return counts


def assert_right(sound: Sound, frontend: FrontEnd) -> None:
    for found, clips in zip(cache.sound_features(sound, frontend), (sound.train, sound.val, sound.test), strict=True):
        assert found.dtype == np.int8
        np.testing.assert_array_equal(found, reference.features(frontend, clips))


def test_computed_once_for_each_front_end(sound: Sound, folder: Path, computed: list[int]) -> None:
    for _ in range(2):
        assert_right(sound, FRONTEND)
        assert_right(sound, OTHER)
    assert computed == [5, 3, 2, 5, 3, 2]
    assert len(list(folder.iterdir())) == 2


def test_other_clips_have_other_features(sound: Sound, computed: list[int]) -> None:
    assert_right(sound, FRONTEND)
    quieter = Sound(sound.train // 2, sound.val, sound.test, sound.frontends)
    assert_right(quieter, FRONTEND)
    assert len(computed) == 6


def test_parameters_that_the_name_does_not_tell(sound: Sound, computed: list[int]) -> None:
    assert_right(sound, FRONTEND)
    assert_right(sound, replace(FRONTEND, low_hz=100))
    assert len(computed) == 6


def test_other_arithmetic_has_other_features(
    sound: Sound, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of the front end's specification must not find what an earlier one left."""
    assert_right(sound, FRONTEND)
    monkeypatch.setattr(reference, "LOG_CENTRE", reference.LOG_CENTRE + 1)
    assert_right(sound, FRONTEND)
    assert len(computed) == 6


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def exchange(path: Path) -> None:
    """The features of other clips under this name."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    document = arrays["document"].tobytes().replace(b'"key": "', b'"key": "0')
    np.savez(path, **{**arrays, "document": np.frombuffer(document, np.uint8)})


def shorten(path: Path) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez(path, **{**arrays, "val": arrays["val"][:-1]})


@pytest.mark.parametrize("damage", [cut, flip, exchange, shorten])
def test_damage_is_told_and_mended(
    sound: Sound, folder: Path, computed: list[int], caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    assert_right(sound, FRONTEND)
    (path,) = folder.iterdir()
    damage(path)
    assert_right(sound, FRONTEND)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert warnings[0].endswith("the features are computed again")
    assert_right(sound, FRONTEND)
    assert len(computed) == 6


def test_nowhere_to_write(
    sound: Sound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file"))
    assert_right(sound, FRONTEND)
    assert "features could not be kept" in caplog.text


@pytest.mark.parametrize("frontend", [FRONTEND, OTHER])
def test_many_clips_are_computed_in_torch(frontend: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole batches and a part of one; arrays that may not be written, as those of mapped files."""
    clips = np.random.default_rng(1).integers(-32768, 32768, (2 * cache._BATCH + 5, 2000), np.int16)
    clips.flags.writeable = False
    expected = reference.features(frontend, clips)
    monkeypatch.setattr(cache, "_FEW", 1)
    found = cache.compute(frontend, clips)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, expected)
