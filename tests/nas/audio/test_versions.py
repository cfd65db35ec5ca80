"""Varied features are kept under all that decides them."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.audio import versions
from nas.audio.augment import WaveAugmenter
from nas.audio.torch_frontend import TorchFrontEnd
from nas.audio.versions import Versions
from nas.tasks import Sound
from search_spaces.frontend import FrontEnd
from tests.nas.training.sounds import FRONTENDS, beeps

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def sound() -> Sound:
    found = beeps(train=12, held_out=4).sound
    assert found is not None
    return found


def varied(sound: Sound, frontend: FrontEnd = FRONTENDS[0], labels: tuple[int, ...] = (0, 1, 2, 3) * 3) -> Versions:
    vary = WaveAugmenter(sound.augmentation, sound.train.shape[1], sound.noise, sound.silence, CPU)
    clips = torch.from_numpy(np.array(sound.train))
    return Versions(sound, clips, torch.tensor(labels), vary, TorchFrontEnd(frontend, CPU))


def test_made_once(sound: Sound, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = varied(sound)[0], varied(sound)[1]
    assert (first.dtype, first.shape) == (np.int8, (12, 14, 8))
    assert (first != second).any()
    monkeypatch.setattr(Versions, "_made", None)
    np.testing.assert_array_equal(varied(sound)[0], first)
    np.testing.assert_array_equal(varied(sound)[1], second)


def test_everything_that_decides_has_features_of_its_own(sound: Sound, folder: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"augmentation": replace(sound.augmentation, gain_db=2)},
        {"noise": sound.noise[:1]},
        {"silence": None},
        {"train": sound.train // 2, "digest": ""},
    ]
    kinds = [varied(sound), *(varied(replace(sound, **change)) for change in changes)]
    kinds += [varied(sound, FRONTENDS[1]), varied(sound, replace(FRONTENDS[0], low_hz=60))]
    kinds += [varied(sound, labels=(3, 1, 2, 0) * 3)]
    for kind in kinds:
        assert kind[0].shape[0] == 12
    assert len(list(folder.iterdir())) == len(kinds)


def test_damage_is_told_and_mended(sound: Sound, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = varied(sound)[0]
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(varied(sound)[0], first)
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert warning.endswith("the features are computed again")


def test_another_way_of_varying_needs_another_number(sound: Sound) -> None:
    """Where this digest changes, features kept before are of no use: raise ``ARITHMETIC`` with it."""
    how = replace(sound.augmentation, gain_db=6.0)
    vary = WaveAugmenter(how, 64, (np.arange(-500, 500, dtype=np.int16),), 3, CPU)
    clips = torch.arange(-6_400, 6_400, 50, dtype=torch.int16).view(4, 64)
    waves = vary(clips, torch.arange(4), torch.arange(4), torch.Generator().manual_seed(0))
    digest = hashlib.sha256(waves.numpy().astype("<i2").tobytes()).hexdigest()[:16]
    assert (versions.ARITHMETIC, digest) == (1, "0dd03d15d5b52fbe")
