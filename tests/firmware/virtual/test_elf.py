from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from firmware.toolchain import Compiler, run_tool
from firmware.virtual import build_firmware, load_image
from search_spaces.errors import NasError
from tests.firmware.virtual.project import write_project

TABLE = """
static const int32_t table[25] = {1, 2, 3};
static int32_t calls = 7;
static int32_t spare[3];
void model_invoke(void)
{
    spare[(uint8_t)arena[1] % 3u] += 1;
    calls += spare[0];
    arena[4] = (int8_t)(table[(uint8_t)arena[0] % 25u] + calls);
}
"""


def test_sizes_of_the_parts(arm_compiler: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", TABLE)
    sizes = load_image(build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build")).sizes
    assert sizes.model_rodata == 100
    assert sizes.model_data == 4
    assert sizes.arena == 64
    assert sizes.model_bss == 64 + 12
    assert sizes.data_bytes == 4 + 12
    assert sizes.test_vectors == 2 * (4 + 4)
    assert sizes.stack_reserved == 8192
    assert sizes.helpers == 0
    assert sizes.flash_bytes == sizes.model_text + 100 + 4
    # 16 exceptions and 95 interrupts, 4 bytes each, and some code.
    assert sizes.runtime_text > 4 * (16 + 95)
    parts = sizes.flash_bytes + sizes.test_vectors + sizes.runtime_text + sizes.runtime_rodata + sizes.runtime_data
    assert sizes.flash_image == parts


def test_helpers_are_counted_with_the_model_that_needs_them(arm_gcc: Compiler, tmp_path: Path) -> None:
    divide = """
void model_invoke(void)
{
    int64_t quotient = 123456789012345 / (arena[0] + 3);
    arena[4] = (int8_t)quotient;
}
"""
    folder = write_project(tmp_path / "project", divide)
    image = load_image(build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build"))
    assert "__aeabi_ldivmod" in image.functions
    assert image.sizes.helpers > 100
    assert image.sizes.flash_bytes == image.sizes.model_text + image.sizes.helpers


def test_memory_routines_are_there_when_the_model_needs_them(arm_compiler: Compiler, tmp_path: Path) -> None:
    copy = """
void model_invoke(void)
{
    static int8_t large[400];
    const int32_t count = arena[0] + 128;
    for (int32_t i = 0; i < count; i++) {
        large[i] = 0;
    }
    for (int32_t i = 0; i < count; i++) {
        arena[4 + (i & 3)] = large[i + count];
    }
    __builtin_memcpy(arena + 4, large, (uint32_t)count & 31u);
}
"""
    folder = write_project(tmp_path / "project", copy)
    image = load_image(build_firmware(folder, "stm32l4r9", arm_compiler, tmp_path / "build"))
    assert image.sizes.helpers > 0


def test_symbols(arm_gcc: Compiler, tmp_path: Path) -> None:
    image = load_image(build_firmware(write_project(tmp_path / "project"), "stm32l4r9", arm_gcc, tmp_path / "build"))
    invoke = image.function("model_invoke")
    assert image.function_at(invoke.address) == "model_invoke"
    assert image.function_at(invoke.address + invoke.size - 1) == "model_invoke"
    assert image.function_at(0x08000000) == "?"
    assert image.function_at(0x20000000) == "?"
    assert image.read(image.object("vector_inputs").address, 4) == bytes([1, 2, 3, 4])
    with pytest.raises(NasError, match="no function 'nothing'"):
        image.function("nothing")
    with pytest.raises(NasError, match="no object 'nothing'"):
        image.object("nothing")
    with pytest.raises(NasError, match="no symbol 'nothing'"):
        image.label("nothing")
    with pytest.raises(NasError, match="holds nothing at 0x20000000"):
        image.read(0x20000000, 4)


def test_what_is_no_image_is_refused(arm_gcc: Compiler, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="cannot be read: No such file"):
        load_image(tmp_path / "missing.elf")
    (tmp_path / "text.elf").write_text("no ELF")
    with pytest.raises(NasError, match="is no ELF file"):
        load_image(tmp_path / "text.elf")
    shutil.copyfile(Path(sys.executable).resolve(), tmp_path / "host.elf")
    with pytest.raises(NasError, match="is no linked program for an Arm or Xtensa core"):
        load_image(tmp_path / "host.elf")
    (tmp_path / "cut.elf").write_bytes(b"\x7fELF\x01\x01\x01")
    with pytest.raises(NasError, match="is no ELF file"):
        load_image(tmp_path / "cut.elf")
    run_tool(
        [*arm_gcc.cc, "-nostdlib", "-x", "c", "-", "-o", "plain.elf"], cwd=tmp_path, stdin="void _start(void) {}\n"
    )
    with pytest.raises(NasError, match=r"has no section '\.vectors'"):
        load_image(tmp_path / "plain.elf")
