"""The front end on the emulated core: the same bytes, by both compilers, and what they cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware.emit import export
from firmware.frontend import reference
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.virtual import build_firmware, load_image, run_elf
from firmware.virtual.clips import run_clips
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from tests.firmware.frontend.front_ends import SOME, silent_model, sound_model, stressful

TARGET = "stm32l4r9"


EVERY = [pytest.param(frontend, "gcc", id=f"{frontend.name}-gcc") for frontend in SOME]
EVERY += [pytest.param(frontend, "zig", id=f"{frontend.name}-zig") for frontend in SOME[::3]]


@pytest.mark.parametrize(("frontend", "kind"), EVERY)
def test_every_byte(frontend: FrontEnd, kind: str, tmp_path: Path, arm_gcc: Compiler) -> None:
    compiler = arm_gcc if kind == "gcc" else find_arm_compiler("zig")
    clips = stressful(frontend.samples)
    folder = export(sound_model(frontend), TARGET, tmp_path / "c", clips=clips[:1])
    pieces = np.random.default_rng(0).integers(1, 2 * frontend.hop, len(clips)).tolist()
    heard = list(run_clips(folder, compiler, tmp_path / "build", zip(clips, pieces, strict=True)))
    expected = reference.features(frontend, clips)
    np.testing.assert_array_equal([clip.whole for clip in heard], expected)
    np.testing.assert_array_equal([clip.pieces for clip in heard], expected)


def test_the_board_checks_its_own_clips(arm_gcc: Compiler, tmp_path: Path) -> None:
    frontend = SOME[1]
    clips = stressful(frontend.samples)[8:11]
    folder = export(sound_model(frontend), TARGET, tmp_path / "c", name="kws", clips=clips)
    execution = run_elf(build_firmware(folder, TARGET, arm_gcc, tmp_path / "build"), TARGET, "kws")
    heard = execution.clips
    assert heard is not None
    assert execution.mismatches == 0
    expected = reference.features(frontend, clips).reshape(3, -1)
    np.testing.assert_array_equal(heard.features[:, 0], expected)
    np.testing.assert_array_equal(heard.features[:, 1], expected)
    assert len(heard.instructions) == len(heard.cycles) == len(heard.streamed_cycles) == 3
    assert sum(heard.functions.values()) == heard.instructions[0]
    assert sum(heard.function_cycles.values()) == heard.cycles[0]
    assert {"combine", "split", "logarithms", "frontend_clip"} <= set(heard.functions)
    # The stream copies every sample twice at most, and otherwise does the same.
    for whole, streamed in zip(heard.instructions, heard.streamed_instructions, strict=True):
        assert whole < streamed < whole + 3 * frontend.samples + 20_000


def test_a_wrong_feature_is_counted_by_the_board(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = export(sound_model(SOME[6]), TARGET, tmp_path / "c")
    source = folder / "kernels" / "frontend_features.c"
    text = source.read_text()
    assert text.count("#define LOG_MEL_GAIN 6") == 1
    source.write_text(text.replace("#define LOG_MEL_GAIN 6", "#define LOG_MEL_GAIN 7"))
    assert run_elf(build_firmware(folder, TARGET, arm_gcc, tmp_path / "build"), TARGET).mismatches > 100


@pytest.mark.parametrize(
    ("frontend", "limit"), [(FrontEnd(samples=4000), 1.45e6), (FrontEnd(samples=4000, window=640), 2.8e6)]
)
def test_instructions_for_a_second_of_audio(
    frontend: FrontEnd, limit: float, arm_gcc: Compiler, tmp_path: Path
) -> None:
    """40 mel bands at a hop of 20 ms: the bound is 6 million."""
    folder = export(sound_model(frontend), TARGET, tmp_path / "c")
    heard = run_elf(build_firmware(folder, TARGET, arm_gcc, tmp_path / "build"), TARGET).clips
    assert heard is not None
    assert max(heard.streamed_instructions) / frontend.frames * 50 < limit


def test_no_instruction_of_the_extension_is_left_to_chance(arm_gcc: Compiler, tmp_path: Path) -> None:
    """Built without the DSP extension, the portable code gives the same bytes on the core."""
    frontend = SOME[0]
    folder = export(sound_model(frontend), TARGET, tmp_path / "c", clips=stressful(frontend.samples)[8:10])
    compiler = Compiler(arm_gcc.kind, (*arm_gcc.cc, "-U__ARM_FEATURE_DSP"), arm_gcc.version)
    elf = build_firmware(folder, TARGET, compiler, tmp_path / "build")
    portable, fast = run_elf(elf, TARGET), run_elf(build_firmware(folder, TARGET, arm_gcc, tmp_path / "fast"), TARGET)
    assert portable.mismatches == fast.mismatches == 0
    assert portable.clips is not None
    assert fast.clips is not None
    assert portable.clips.instructions[0] > 1.2 * fast.clips.instructions[0]
    assert load_image(elf).sizes.helpers == 0


def test_a_network_without_a_front_end_hears_nothing(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = export(silent_model(SOME[6]), TARGET, tmp_path / "c")
    with pytest.raises(NasError, match="has no front end: it does not start from sound"):
        next(run_clips(folder, arm_gcc, tmp_path / "build", []))
    execution = run_elf(build_firmware(folder, TARGET, arm_gcc, tmp_path / "build"), TARGET)
    assert execution.clips is None


def test_clips_that_do_not_fit_are_refused(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = export(sound_model(SOME[6]), TARGET, tmp_path / "c")
    with pytest.raises(NasError, match=r"a clip is int16 \(699,\) in pieces of 5; int16 \(700,\)"):
        next(run_clips(folder, arm_gcc, tmp_path / "build", [(np.zeros(699, np.int16), 5)]))
