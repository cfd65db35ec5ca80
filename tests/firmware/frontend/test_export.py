"""A network that starts from sound is exported with its front end."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import numpy as np
import pytest

from estimators import load_target, lower
from firmware import reference
from firmware.emit import export
from firmware.folder import digests
from firmware.frontend import reference as sound
from firmware.host import HostModel
from firmware.toolchain import (
    ARM_CFLAGS,
    HOST_CFLAGS,
    WARNINGS,
    find_arm_compiler,
    find_host_compiler,
    run_tool,
)
from firmware.vectors import checked_clips
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd
from tests.firmware.frontend.front_ends import SOME, silent_model, sound_model, stressful
from tests.strategies import random_input

TARGET = load_target("stm32l4r9")
FRONT = FrontEnd(samples=2000, window=400, hop=160, mel_bands=23, coefficients=8)
FILES = {"frontend.h", "frontend_arithmetic.h", "frontend.c", "frontend_powers.c", "frontend_features.c"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(sound_model(FRONT), TARGET, tmp_path_factory.mktemp("export") / "c")


def test_manifest_and_sources(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert FrontEnd.from_json(manifest["frontend"]) == FRONT
    assert manifest["clips"] == 2
    assert {Path(source).name for source in manifest["sources"]} >= {name for name in FILES if name.endswith(".c")}
    assert {path.name for path in (folder / "kernels").iterdir()} >= FILES
    assert manifest["predicted"]["frontend_cycles"] > 0


def test_only_with_sound(tmp_path: Path) -> None:
    plain = export(silent_model(FRONT), TARGET, tmp_path / "c")
    manifest = json.loads((plain / "manifest.json").read_text())
    assert "frontend" not in manifest
    assert manifest["predicted"]["frontend_cycles"] == 0
    assert not {path.name for path in (plain / "kernels").iterdir()} & FILES
    assert "_push" not in (plain / "model.h").read_text()
    with HostModel(plain) as host, pytest.raises(NasError, match="has no front end: it does not start from sound"):
        host.features(np.zeros((1, 2000), np.int16))
    with pytest.raises(NasError, match="clips are given, and the network has no front end"):
        export(silent_model(FRONT), TARGET, tmp_path / "d", clips=stressful(2000))


def test_equal_arguments_give_equal_bytes(folder: Path, tmp_path: Path) -> None:
    assert digests(export(sound_model(FRONT), "stm32l4r9", tmp_path / "again")) == digests(folder)


def test_readme_and_header_tell_how_to_use_it(folder: Path) -> None:
    readme, header = (folder / "README.md").read_text(), (folder / "model.h").read_text()
    assert "2000 samples at 16000 Hz become 11 rows of 8 features" in readme
    assert "if (model_push(samples, count) > 0 && model_load()) {" in readme
    for line in ("#define MODEL_SAMPLE_RATE 16000", "#define MODEL_CLIP_SAMPLES 2000", "#define MODEL_HOP_SAMPLES 160"):
        assert line in header
    assert max(map(len, header.splitlines())) <= 140


def test_scratch_lies_in_the_arena_apart_from_the_input() -> None:
    plan = lower(sound_model(FRONT).graph, TARGET)
    place = plan.placements[plan.graph.input]
    assert plan.frontend_scratch is not None
    assert plan.frontend_scratch + 2048 <= plan.arena_bytes
    assert plan.frontend_scratch >= place.offset + place.size or plan.frontend_scratch + 2048 <= place.offset


def test_no_warning_with_either_compiler(folder: Path, tmp_path: Path, arm_gcc: object) -> None:
    for kind in ("gcc", "zig"):
        compiler = find_arm_compiler("gcc" if kind == "gcc" else "zig")
        flags = [*ARM_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-Wpedantic", "-I", folder]
        for source in [folder / "model.c", *sorted((folder / "kernels").glob("frontend*.c"))]:
            run_tool([*compiler.cc, *flags, "-c", source, "-o", tmp_path / "object.o"])


def test_made_up_clips_are_loud_and_the_same_every_time() -> None:
    clips = checked_clips(FRONT, None)
    assert clips is not None
    assert clips.shape == (2, 2000)
    assert clips[1].max() == 32_767
    assert clips[1].min() == -32_768
    np.testing.assert_array_equal(clips, checked_clips(FRONT, None))


@pytest.mark.parametrize(
    "clips",
    [np.zeros((0, 2000), np.int16), np.zeros((2, 2000)), np.zeros((2, 1999), np.int16), np.zeros(2000, np.int16)],
)
def test_other_clips_are_refused(tmp_path: Path, clips: np.ndarray) -> None:
    with pytest.raises(NasError, match=r"int16 \(N, 2000\) with N >= 1 expected"):
        export(sound_model(FRONT), TARGET, tmp_path / "c", clips=clips)


@pytest.mark.parametrize("name", ["model", "kws", "Model"])
def test_on_this_machine(tmp_path: Path, name: str) -> None:
    model, clips = sound_model(FRONT), stressful(2000)
    with HostModel(export(model, TARGET, tmp_path / "c", name=name, clips=clips[:3])) as host:
        features = host.features(clips)
        np.testing.assert_array_equal(features, sound.features(FRONT, clips))
        np.testing.assert_array_equal(host.run(features), reference.run(model, features))
        samples = np.concatenate([clips[8], clips[10]])
        heard = host.listen(samples, [*[160] * 24, 100, 60])
        # The first whole clip ends with sample 2000: the 13th piece completes its last row.
        starts = np.arange(0, len(samples) - 1999, 160)
        windows = np.array([samples[start : start + 2000] for start in starts])
        np.testing.assert_array_equal(heard, sound.features(FRONT, windows)[: len(heard)])
        assert len(heard) == (4000 - 400) // 160 + 1 - 10


def test_under_the_sanitisers(tmp_path: Path) -> None:
    for index in (2, 7):
        front = SOME[index]
        clips = stressful(front.samples)
        folder = export(sound_model(front), TARGET, tmp_path / str(index))
        with HostModel(folder, sanitize=True) as host:
            np.testing.assert_array_equal(host.features(clips), sound.features(front, clips))


def test_arrays_that_do_not_fit_are_refused(folder: Path) -> None:
    with HostModel(folder) as host:
        with pytest.raises(NasError, match=r"clips are int16 \(1, 1999\); int16 \(N, 2000\) expected"):
            host.features(np.zeros((1, 1999), np.int16))
        with pytest.raises(NasError, match=r"samples are int16 \(1, 4\); int16 \(N,\) expected"):
            host.listen(np.zeros((1, 4), np.int16), [4])
        with pytest.raises(NasError, match="pieces add up to 3 samples; 4 are given"):
            host.listen(np.zeros(4, np.int16), [3])


BOTH = """
#include "one/model.h"
#include "other/model.h"

void both(const int16_t *clip, int8_t *first, int8_t *second);

void both(const int16_t *clip, int8_t *first, int8_t *second)
{
    one_init();
    other_init();
    (void)one_push(clip, 1000);
    (void)other_push(clip, ONE_CLIP_SAMPLES);
    (void)one_push(clip + 1000, ONE_CLIP_SAMPLES - 1000);
    if (!one_load() || !other_load()) {
        return;
    }
    for (int32_t i = 0; i < ONE_INPUT_BYTES; i++) { first[i] = one_input()[i]; }
    for (int32_t i = 0; i < OTHER_INPUT_BYTES; i++) { second[i] = other_input()[i]; }
}
"""


def test_one_program_hears_with_two_front_ends(tmp_path: Path) -> None:
    fronts = {
        "one": FRONT,
        "other": FrontEnd(samples=2000, window=640, hop=320, features=Features.LOG_MEL, coefficients=0),
    }
    for name, front in fronts.items():
        export(sound_model(front), TARGET, tmp_path / name, name=name)
    (tmp_path / "both.c").write_text(BOTH)
    compiler = find_host_compiler()
    flags = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-shared", "-I", tmp_path]
    sources = ["both.c", "one/model.c", "other/model.c", *(tmp_path / "one" / "kernels").glob("*.c")]
    run_tool([*compiler.cc, *flags, "-o", "both.so", *sources], cwd=tmp_path)
    clip = stressful(2000)[8:9]
    heard = [np.zeros(front.shape, np.int8) for front in fronts.values()]
    library = ctypes.CDLL(str(tmp_path / "both.so"))
    library.both(*(ctypes.c_void_p(array.ctypes.data) for array in (clip, *heard)))
    for front, got in zip(fronts.values(), heard, strict=True):
        np.testing.assert_array_equal(got, sound.features(front, clip)[0])


def test_the_features_of_a_clip_stay_until_the_inference(tmp_path: Path) -> None:
    """The network's input survives samples that come in between: the front end works in other bytes."""
    model = sound_model(FRONT)
    source = """
#include "model.h"
int32_t between(const int16_t *clip, const int16_t *more, int8_t *output);
int32_t between(const int16_t *clip, const int16_t *more, int8_t *output)
{
    int32_t rows;
    model_clip(clip);
    rows = model_push(more, MODEL_CLIP_SAMPLES);
    model_invoke();
    for (int32_t i = 0; i < MODEL_OUTPUT_BYTES; i++) { output[i] = model_output()[i]; }
    return rows;
}
"""
    folder = export(model, TARGET, tmp_path / "c")
    (tmp_path / "between.c").write_text(source)
    compiler = find_host_compiler()
    flags = [*HOST_CFLAGS[compiler.kind], "-shared", "-I", folder]
    sources = [tmp_path / "between.c", folder / "model.c", *(folder / "kernels").glob("*.c")]
    run_tool([*compiler.cc, *flags, "-o", tmp_path / "between.so", *sources])
    clips, output = stressful(2000), np.zeros(3, np.int8)
    library = ctypes.CDLL(str(tmp_path / "between.so"))
    arrays = (np.ascontiguousarray(clips[10]), np.ascontiguousarray(clips[8]), output)
    assert library.between(*(ctypes.c_void_p(array.ctypes.data) for array in arrays)) == FRONT.frames
    expected = reference.run(model, sound.features(FRONT, clips[10:11]))
    assert output.tolist() == expected.ravel().tolist()


def test_vectors_and_clips_together(tmp_path: Path) -> None:
    model, rng = sound_model(FRONT), np.random.default_rng(0)
    folder = export(model, TARGET, tmp_path / "c", random_input(model, 5, rng), clips=stressful(2000)[:4])
    text = (folder / "vectors.h").read_text()
    assert "#define VECTOR_COUNT 5" in text
    assert "#define CLIP_COUNT 4" in text
