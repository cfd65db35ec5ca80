"""A network with a front end is checked from the samples on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from firmware import reference, toolchain
from firmware.emit import export
from firmware.folder import MANIFEST, digests
from firmware.frontend import reference as sound
from firmware.host import HostModel
from firmware.int8_file import save_model
from firmware.toolchain import Compiler
from firmware.validate import validate
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from tests.firmware.frontend.front_ends import sound_model, stressful

TARGET = "stm32l4r9"
FRONT = FrontEnd(samples=2000, window=400, hop=160, mel_bands=23, coefficients=8)


def test_of_a_folder(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = export(sound_model(FRONT), TARGET, tmp_path / "c")
    result = validate(folder, TARGET, compiler=arm_gcc)
    assert result.passed
    assert (result.vectors, result.clips) == (4, 2)
    assert result.execution is not None
    assert result.execution.clips is not None
    assert result.frontend_instructions == max(result.execution.clips.instructions)
    assert result.cycles == max(result.execution.cycles) + max(result.execution.clips.cycles)
    assert result.predicted.frontend_cycles == pytest.approx(result.frontend_cycles, rel=0.03)
    shown = result.to_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert {"model_invoke", "model_clip", "combine"} <= shown["functions"].keys()
    assert shown["predicted"]["frontend_cycles"] == result.predicted.frontend_cycles


def test_clips_become_the_vectors_too(arm_gcc: Compiler, tmp_path: Path) -> None:
    model, clips = sound_model(FRONT), stressful(2000)
    save_model(model, tmp_path / "sound.int8")
    outputs = reference.run(model, sound.features(FRONT, clips))
    labels = outputs.reshape(len(clips), -1).argmax(axis=1)
    result = validate(tmp_path / "sound.int8", TARGET, None, (clips, labels), arm_gcc, clips[7:10])
    assert result.passed
    assert (result.vectors, result.clips, result.test_images, result.test_accuracy) == (3, 3, len(clips), 1.0)
    assert result.execution is not None
    np.testing.assert_array_equal(result.execution.outputs, outputs[7:10].reshape(3, -1))


def test_on_this_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "find_tool", lambda _: None)
    clips = stressful(2000)
    save_model(sound_model(FRONT), tmp_path / "sound.int8")
    result = validate(tmp_path / "sound.int8", "esp32s2", clips=clips)
    assert result.passed
    assert result.host_bit_exact
    assert (result.clips, result.frontend_cycles, result.frontend_instructions) == (0, None, None)


def test_a_wrong_feature_is_found(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = export(sound_model(FRONT), TARGET, tmp_path / "c")
    source = folder / "kernels" / "frontend_features.c"
    source.write_text(source.read_text().replace("#define LOG_CENTRE 41", "#define LOG_CENTRE 40"))
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"files": digests(folder)}))
    result = validate(folder, TARGET, compiler=arm_gcc)
    assert result.bit_exact is False
    assert not result.host_bit_exact
    assert result.mismatch is not None
    assert result.mismatch.build == "stm32l4r9 front end"


def test_a_host_that_never_completes_a_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(sound_model(FRONT), tmp_path / "sound.int8")
    listen = HostModel.listen
    monkeypatch.setattr(HostModel, "listen", lambda *arguments: listen(*arguments)[:0])
    with pytest.raises(NasError, match=r"host front end build gave outputs of \(0, 88\); \(1, 88\) were expected"):
        validate(tmp_path / "sound.int8", "esp32s2", clips=stressful(2000)[:1])


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    save_model(sound_model(FRONT), tmp_path / "sound.int8")
    with pytest.raises(NasError, match=r"clips are int16 \(2, 1999\); int16 \(N, 2000\)"):
        validate(tmp_path / "sound.int8", TARGET, clips=np.zeros((2, 1999), np.int16))
    with pytest.raises(NasError, match=r"clips are int16 \(2, 5\); int16 \(N, 2000\)"):
        validate(tmp_path / "sound.int8", TARGET, labelled_split=(np.zeros((2, 5), np.int16), np.zeros(2, int)))
    with pytest.raises(NasError, match=r"labels are int64 \(3,\); 2 integers"):
        validate(tmp_path / "sound.int8", TARGET, labelled_split=(np.zeros((2, 2000), np.int16), np.zeros(3, int)))
