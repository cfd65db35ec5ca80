from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware.toolchain import Compiler
from firmware.virtual import build_firmware, load_image, run_elf
from search_spaces.errors import NasError
from tests.firmware.virtual.project import MODEL_C, NEGATE, VECTORS_C, VECTORS_H, write_project

KERNELS = {
    "twice.h": "#include <stdint.h>\nint8_t twice(int8_t x);\n",
    "twice.c": '#include "twice.h"\nint8_t twice(int8_t x) { return (int8_t)(2 * x); }\n',
}
DOUBLE = """
#include "kernels/twice.h"
void model_invoke(void)
{
    for (int32_t i = 0; i < 4; i++) {
        arena[4 + i] = twice(arena[i]);
    }
}
"""


def test_builds_and_runs(arm_compiler: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", DOUBLE, KERNELS)
    elf = build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build")
    assert elf == tmp_path / "build" / "firmware.elf"
    assert run_elf(elf).outputs.tolist() == [[2, 4, 6, 8], [-10, 0, -2, 2]]
    # The kernel counts as the model's, whichever compiler named the object.
    image = load_image(elf)
    start = image.label("__model_text_start")
    assert start <= image.function("model_invoke").address < start + image.sizes.model_text
    assert start <= image.function("twice").address < start + image.sizes.model_text


def test_vectors_from_another_folder(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", NEGATE)
    other = tmp_path / "vectors"
    other.mkdir()
    (other / "vectors.h").write_text(VECTORS_H.replace("VECTOR_COUNT 2", "VECTOR_COUNT 1"))
    (other / "vectors.c").write_text(
        VECTORS_C.replace("{1, 2, 3, 4}, {-5, 0, 127, -127}", "{9, 8, 7, 6}").replace(
            "{-1, -2, -3, -4}, {5, 0, -127, 126}", "{-9, -8, -7, -7}"
        )
    )
    execution = run_elf(build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build", other))
    assert execution.outputs.tolist() == [[-9, -8, -7, -6]]
    assert execution.mismatches == 1


def test_a_warning_is_an_error(arm_compiler: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", NEGATE.replace("(int8_t)-", "1 + (int16_t)-"))
    with pytest.raises(NasError, match=r"model\.c.*conversion"):
        build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build")


def test_too_much_ram_does_not_link(arm_compiler: Compiler, tmp_path: Path) -> None:
    # 640 KiB less 8 KiB of stack, and the harness's few bytes, are there for the model.
    folder = write_project(tmp_path / "project", NEGATE)
    (folder / "model.c").write_text((MODEL_C + NEGATE).replace("arena[MODEL_ARENA_BYTES]", "arena[632 * 1024]"))
    with pytest.raises(NasError, match=r"(?s)RAM.*overflowed"):
        build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build")
    (folder / "model.c").write_text((MODEL_C + NEGATE).replace("arena[MODEL_ARENA_BYTES]", "arena[632 * 1024 - 64]"))
    elf = build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build")
    assert run_elf(elf).mismatches == 1
    assert load_image(elf).sizes.arena == 632 * 1024 - 64


def test_too_much_flash_does_not_link(arm_compiler: Compiler, tmp_path: Path) -> None:
    constant = "\nstatic const int8_t weights[2 * 1024 * 1024] = {1};\n"
    invoke = "void model_invoke(void) { arena[4] = weights[(uint8_t)arena[0]]; }\n"
    folder = write_project(tmp_path / "project", constant + invoke)
    with pytest.raises(NasError, match=r"(?s)FLASH.*overflowed"):
        build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build")


def test_what_is_missing_is_named(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project")
    with pytest.raises(NasError, match=r"target 'pdp11' has no virtual target yet: stm32l4r9 and esp32s2 have one"):
        build_firmware(folder, "pdp11", arm_gcc, tmp_path / "build")
    (folder / "stm32l4r9" / "stm32l4r9.ld").rename(folder / "stm32l4r9" / "other.ld")
    with pytest.raises(NasError, match=r"no board project for target 'stm32l4r9'"):
        build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build")
    (folder / "stm32l4r9" / "other.ld").rename(folder / "stm32l4r9" / "stm32l4r9.ld")
    (folder / "vectors.c").unlink()
    with pytest.raises(NasError, match=r"vectors\.c is missing"):
        build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build")


def test_equal_sources_give_equal_images(arm_compiler: Compiler, tmp_path: Path) -> None:
    images = [
        build_firmware(
            write_project(tmp_path / name / "kernels"), "stm32l4r9", arm_compiler, tmp_path / f"{name}.build"
        )
        for name in ("one", "other")
    ]
    one, other = map(load_image, images)
    assert one.segments == other.segments


@pytest.mark.skipif(shutil.which("cmake") is None, reason="CMake is not installed; it is needed for boards alone")
def test_cmake_project_builds_as_it_is(arm_gcc: Compiler, tmp_path: Path) -> None:
    # A folder called kernels above the project must not make everything part of the model.
    folder = write_project(tmp_path / "kernels" / "project", DOUBLE, KERNELS)
    tools = str(Path(arm_gcc.cc[0]).parent)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    for command in (["cmake", "-S", "stm32l4r9", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    elf = folder / "build" / "firmware.elf"
    built = build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build")
    assert load_image(elf).sizes == load_image(built).sizes
    assert run_elf(elf).cycles == run_elf(built).cycles
    assert (folder / "build" / "firmware.bin").stat().st_size == load_image(elf).sizes.flash_image
