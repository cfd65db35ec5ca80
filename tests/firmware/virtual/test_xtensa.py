"""Firmware on the emulated Xtensa core: what it computes, what it costs, and what is said where it goes wrong."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings

from estimators.kinds import CONVERTED
from firmware import reference, toolchain
from firmware.emit import export
from firmware.folder import read_manifest
from firmware.int8_file import save_model
from firmware.int8_model import Int8Model
from firmware.toolchain import Compiler, find_xtensa_compiler, find_xtensa_emulator
from firmware.validate import validate
from firmware.virtual import build_firmware, find_compiler, load_image, run_elf
from firmware.virtual.xtensa import CAVEAT, run_xtensa
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from tests.firmware.frontend.front_ends import sound_model
from tests.firmware.lively import lively_model
from tests.firmware.virtual.project import MODEL_C, NEGATE, write_project
from tests.strategies import models, random_input

TARGET = "esp32s2"
FRONT = FrontEnd(samples=2000, window=400, hop=160, mel_bands=23, coefficients=8)

ARITHMETIC = """
void model_invoke(void)
{
    static const int64_t numbers[6] = {1, -7, 123456789012345, -98765432109876, 0x7FFFFFFFFFFFFFFF, 4294967296};
    uint64_t sum = 0u;
    int32_t i, k;
    for (i = 0; i < 6; i++) {
        for (k = 0; k < 6; k++) {
            const int64_t a = numbers[i] + arena[0], b = numbers[k];
            const int32_t c = (int32_t)a, d = (int32_t)b | 1;
            const uint32_t u = (uint32_t)a, v = (uint32_t)b | 1u;
            const int shift = (arena[1] & 63) + i * k % 5;
            sum = sum * 31u + (uint64_t)(a / b) + (uint64_t)(a % b);
            sum = sum * 31u + (uint64_t)a / (uint64_t)b + (uint64_t)a % (uint64_t)b;
            sum = sum * 31u + (uint32_t)(c / d) + (uint32_t)(c % d) + u / v + u % v;
            sum = sum * 31u + ((uint64_t)a << shift) + ((uint64_t)a >> shift) + (uint64_t)(a >> shift);
            sum = sum * 31u + (uint64_t)((int64_t)c * d) + (uint64_t)u * v;
        }
    }
    __builtin_memcpy(arena + 4, &sum, 4u);
    arena[4] = (int8_t)(arena[4] ^ (int8_t)(sum >> 32) ^ (int8_t)(sum >> 48));
}
"""


def built(folder: Path, compiler: Compiler, invoke: str = NEGATE) -> Path:
    return build_firmware(write_project(folder / "project", invoke), TARGET, compiler, folder / "build")


def failure(folder: Path, compiler: Compiler, invoke: str, **options: float) -> str:
    elf = built(folder, compiler, invoke)
    with pytest.raises(NasError) as caught:
        run_xtensa(elf, profile=False, **options)  # type: ignore[arg-type]
    return str(caught.value)


# Whole networks.


def test_a_network_on_every_machine(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    builder = GraphBuilder((9, 7, 3))
    x = builder.conv(builder.input, 6, 3, 2)
    x = builder.add(x, builder.depthwise(x, 3))
    x = builder.mul(x, builder.sigmoid(builder.conv(x, 6)))
    builder.softmax(builder.dense(builder.max_pool(x, 2, 2), 5))
    model, vectors, expected = lively_model(builder.build("little"), values=3)
    save_model(model, tmp_path / "little.int8")
    result = validate(tmp_path / "little.int8", TARGET, vectors)
    assert result.passed
    assert result.bit_exact is True
    assert result.note == CAVEAT
    execution = result.execution
    assert execution is not None
    assert execution.mismatches == 0
    np.testing.assert_array_equal(execution.outputs, expected[model.graph.output].reshape(len(vectors), -1))
    # What is counted twice: ticks of the core's counter, and executed blocks by function.
    assert sum(execution.functions.values()) == execution.instructions[0]
    assert execution.functions["model_invoke"] > 0
    assert result.cycles == round(0.82 * max(execution.instructions))
    assert (execution.cycles_kind, result.cycles_kind, execution.core_hz) == (CONVERTED, CONVERTED, None)
    assert 0 < execution.stack_bytes < execution.total_stack_bytes < 8192
    assert result.sizes is not None
    assert result.sizes.arena == result.predicted.arena_bytes
    assert result.sram_bytes == result.sizes.arena + result.sizes.data_bytes + execution.stack_bytes


@settings(max_examples=3)
@given(models())
def test_random_networks(xtensa_gcc: Compiler, model: Int8Model) -> None:
    vectors = random_input(model, 3, np.random.default_rng(0))
    with TemporaryDirectory() as scratch:
        folder = export(model, TARGET, Path(scratch) / "c", vectors)
        execution = run_xtensa(build_firmware(folder, TARGET, xtensa_gcc, Path(scratch) / "build"), profile=False)
    np.testing.assert_array_equal(execution.outputs, reference.run(model, vectors).reshape(3, -1))
    assert execution.mismatches == 0


def test_counts_are_repeatable_and_a_name_is_kept(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    builder = GraphBuilder((8, 8, 4))
    builder.dense(builder.global_avg_pool(builder.conv(builder.input, 8, 3)), 3)
    model, vectors, _ = lively_model(builder.build("other"), values=2, images=3)
    folder = export(model, TARGET, tmp_path / "c", vectors, name="other")
    # The board that exists in the emulator alone is no part of an export.
    assert not [path for path in folder.rglob("*") if path.suffix in (".S", ".ld")]
    assert read_manifest(folder)["target"] == TARGET
    elf = build_firmware(folder, TARGET, xtensa_gcc, tmp_path / "build")
    first, second = run_elf(elf, TARGET, "other"), run_xtensa(elf, "other", profile=False)
    assert (first.instructions, first.stack_bytes) == (second.instructions, second.stack_bytes)
    assert first.outputs.tobytes() == second.outputs.tobytes() == reference.run(model, vectors).tobytes()


def test_a_front_end(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    save_model(sound_model(FRONT), tmp_path / "sound.int8")
    result = validate(tmp_path / "sound.int8", TARGET)
    assert result.passed
    assert result.clips == 2
    assert result.execution is not None
    assert result.execution.clips is not None
    assert result.frontend_instructions == max(result.execution.clips.instructions) > 1000
    assert min(result.execution.clips.streamed_instructions) > min(result.execution.clips.instructions)


# What is measured.


@pytest.mark.parametrize(("turns", "instructions"), [(1, 4), (1000, 2002)])
def test_instructions_are_counted_one_by_one(
    turns: int, instructions: int, xtensa_gcc: Compiler, tmp_path: Path
) -> None:
    # movi, then a decrement and a branch per turn, then ret.
    lines = [".text", ".align 4", ".global model_invoke", ".type model_invoke, @function", "model_invoke:"]
    lines += [f"movi a2, {turns}", "1: addi a2, a2, -1", "bnez a2, 1b", "ret"]
    invoke = "__asm__(" + " ".join(f'"{line}\\n"' for line in lines) + ");\n"
    execution = run_xtensa(built(tmp_path, xtensa_gcc, invoke), profile=False)
    assert execution.instructions == (instructions, instructions)
    assert execution.stack_bytes == 0


def test_depth_of_the_stack(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    deep = """
static __attribute__((noinline)) void deep(int32_t n)
{
    volatile int8_t local[64];
    local[0] = 1;
    local[63] = 1;
    if (n > 0) {
        deep(n - 1);
    }
    arena[5] = local[63];
}
void model_invoke(void) { deep(arena[2] / 16); }
"""
    # The second vector holds 127 there, and goes seven frames deeper than the first, which holds 3.
    execution = run_xtensa(built(tmp_path, xtensa_gcc, deep), profile=False)
    assert 8 * 64 < execution.stack_bytes == execution.painted_stack_bytes < 8 * 64 + 8 * 32
    assert execution.mismatches > 0


def test_arithmetic_that_the_core_lacks(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    """64-bit products, shifts and divisions give what this machine's compiler gives."""
    folder = write_project(tmp_path / "project", ARITHMETIC)
    main = """
#include <stdio.h>
#include <string.h>
#include "model.c"
#include "vectors.c"
int main(void)
{
    for (int i = 0; i < VECTOR_COUNT; i++) {
        memcpy(model_input(), vector_inputs[i], 4);
        model_invoke();
        for (int k = 0; k < 4; k++) { printf("%d ", model_output()[k]); }
    }
}
"""
    (tmp_path / "main.c").write_text(main)
    host = toolchain.find_host_compiler()
    toolchain.run_tool([*host.cc, "-fwrapv", f"-I{folder}", tmp_path / "main.c", "-o", tmp_path / "main"])
    expected = list(map(int, toolchain.run_tool([tmp_path / "main"]).split()))
    elf = build_firmware(folder, TARGET, xtensa_gcc, tmp_path / "build")
    assert run_xtensa(elf, profile=False).outputs.reshape(-1).tolist() == expected
    image = load_image(elf)
    assert {"__divdi3", "__umoddi3", "__divsi3", "__umodsi3", "__muldi3"} <= image.functions.keys()
    assert image.sizes.helpers > 0


# What goes wrong.


def test_too_large_an_arena_does_not_link(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    # 176 KiB less 8 KiB of stack, and the harness's few bytes, are there for the model.
    folder = write_project(tmp_path / "project")
    for size, fits in (("168 * 1024", False), ("168 * 1024 - 128", True)):
        (folder / "model.c").write_text((MODEL_C + NEGATE).replace("arena[MODEL_ARENA_BYTES]", f"arena[{size}]"))
        if fits:
            assert load_image(build_firmware(folder, TARGET, xtensa_gcc, tmp_path / "build")).sizes.arena > 171_000
            continue
        with pytest.raises(
            NasError, match=r"^the firmware does not fit on esp32s2: its memory region RAM is overflowed by \d+ bytes$"
        ):
            build_firmware(folder, TARGET, xtensa_gcc, tmp_path / "build")


def test_too_many_weights_do_not_link(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    constant = "\nstatic const int8_t weights[1024 * 1024] = {1};\n"
    invoke = "void model_invoke(void) { arena[4] = weights[(uint8_t)arena[0]]; }\n"
    with pytest.raises(NasError, match="its memory region FLASH is overflowed by"):
        built(tmp_path, xtensa_gcc, constant + invoke)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("*(volatile int32_t *)0x10000000 = 1;", "no memory"),
        ('__asm__ volatile("ill");', "exception 0 (an instruction that the core does not have)"),
    ],
)
def test_a_fault_is_told(body: str, sentence: str, xtensa_gcc: Compiler, tmp_path: Path) -> None:
    said = failure(tmp_path, xtensa_gcc, f"void model_invoke(void) {{ {body} }}\n")
    assert said.startswith("the firmware took exception ")
    assert sentence in said
    assert " in model_invoke (pc 0x500" in said


def test_the_stack_cannot_leave_its_section(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    invoke = """
static __attribute__((noinline)) int32_t sink(int32_t n)
{
    volatile int32_t local[32];
    local[n & 31] = n;
    return arena[0] == 99 ? n : sink(n + 1) + local[(n + 1) & 31];
}
void model_invoke(void) { arena[4] = (int8_t)sink(0); }
"""
    said = failure(tmp_path, xtensa_gcc, invoke)
    assert "no memory) in sink (pc " in said
    assert "address 0x5fff" in said


def test_an_endless_loop_ends(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    invoke = "void model_invoke(void) { while (*(volatile int8_t *)arena != 99) { } }\n"
    said = failure(tmp_path, xtensa_gcc, invoke, timeout=0.5)
    assert said == "the firmware had not finished after 0.5 seconds in the emulator"


def test_the_limit_holds_for_each_call(xtensa_gcc: Compiler, tmp_path: Path) -> None:
    said = failure(tmp_path, xtensa_gcc, NEGATE, instruction_limit=10)
    assert said.startswith("the firmware needed ")
    assert said.endswith(" instructions for one call; at most 10 were allowed")


# Tools.


def test_no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(toolchain, "_folders", lambda: iter([tmp_path]))
    monkeypatch.delenv("NAS_TOOLCHAIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NasError, match="xtensa-lx106-elf-gcc was not found: run `make toolchain`"):
        find_xtensa_compiler()
    with pytest.raises(NasError, match="qemu-system-xtensa was not found: run `make toolchain`"):
        find_xtensa_emulator()


def test_only_gcc_compiles_for_this_core(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="compiler 'zig' has no back end for Xtensa: only 'gcc' has"):
        find_compiler(TARGET, "zig")
    zig = toolchain.find_arm_compiler("zig")
    with pytest.raises(NasError, match=r"zig .* has no back end for the core of target 'esp32s2'"):
        build_firmware(write_project(tmp_path / "project"), TARGET, zig, tmp_path / "build")


def test_an_emulator_that_fails(xtensa_gcc: Compiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    elf = built(tmp_path, xtensa_gcc)
    broken = tmp_path / "qemu-system-xtensa"
    broken.write_text("#!/bin/sh\necho cannot open display >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NasError, match=r"qemu-system-xtensa ended with exit code 1 and 0 of \d+ bytes .* display"):
        run_xtensa(elf, profile=False)
