"""Every clip of the real test split, on this machine and on the emulated core, whole and in pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware.emit import export
from firmware.frontend import reference
from firmware.host import HostModel
from firmware.toolchain import Compiler
from firmware.virtual.clips import run_clips
from search_spaces.frontend import Features, FrontEnd
from tests.firmware.frontend.front_ends import sound_model

FOLDER = Path("SpeechCommands") / "speech_commands_v0.02"
FRONT_ENDS = (
    FrontEnd(),
    FrontEnd(window=640),
    FrontEnd(window=480, hop=160, features=Features.LOG_MEL, coefficients=0),
)
FEW = 8
"""Clips of the test that is no slow one."""
MANY = 300


def read(data_root: Path, count: int | None = None) -> np.ndarray:
    """Clips (int16, N x 16000) of the test split, silence behind those that are shorter."""
    listed = data_root / FOLDER / "testing_list.txt"
    if not listed.is_file():
        pytest.skip(f"no Speech Commands in {data_root}: `make data` brings it")
    names = listed.read_text().split()
    chosen = names if count is None else [names[i] for i in np.linspace(0, len(names) - 1, count).astype(int)]
    clips = np.zeros((len(chosen), 16_000), np.int16)
    for clip, name in zip(clips, chosen, strict=True):
        samples = soundfile.read(data_root / FOLDER / name, dtype="int16")[0][:16_000]
        clip[: len(samples)] = samples
    return clips


def check(frontend: FrontEnd, clips: np.ndarray, compiler: Compiler, scratch: Path) -> None:
    expected = reference.features(frontend, clips)
    folder = export(sound_model(frontend), "stm32l4r9", scratch / "c", clips=clips[:1])
    with HostModel(folder) as host:
        np.testing.assert_array_equal(host.features(clips), expected)
        for clip, features in zip(clips, expected, strict=True):
            np.testing.assert_array_equal(host.listen(clip, [*[333] * 48, 16])[-1], features)
    pieces = np.random.default_rng(0).integers(1, 1000, len(clips)).tolist()
    heard = run_clips(folder, compiler, scratch / "build", zip(clips, pieces, strict=True))
    for index, clip in enumerate(heard):
        np.testing.assert_array_equal(clip.whole, expected[index], err_msg=f"clip {index}")
        np.testing.assert_array_equal(clip.pieces, expected[index], err_msg=f"clip {index} in pieces")
    assert index == len(clips) - 1


def test_some_clips(data_root: Path, arm_gcc: Compiler, tmp_path: Path) -> None:
    check(FRONT_ENDS[0], read(data_root, FEW), arm_gcc, tmp_path)


@pytest.mark.slow
def test_every_clip(data_root: Path, arm_gcc: Compiler, tmp_path: Path) -> None:
    check(FRONT_ENDS[0], read(data_root), arm_gcc, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("frontend", FRONT_ENDS[1:], ids=lambda frontend: frontend.name)
def test_many_clips_of_other_front_ends(frontend: FrontEnd, data_root: Path, arm_gcc: Compiler, tmp_path: Path) -> None:
    check(frontend, read(data_root, MANY), arm_gcc, tmp_path)
