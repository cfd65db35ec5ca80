from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from capstone import CS_ARCH_ARM, CS_GRP_CALL, CS_GRP_JUMP, CS_MODE_MCLASS, CS_MODE_THUMB, Cs

from firmware.toolchain import Compiler
from firmware.virtual import build_firmware, load_image, run_elf
from firmware.virtual.machine import Machine
from firmware.virtual.meter import Meter
from search_spaces.errors import NasError
from tests.firmware.virtual.project import NEGATE, naked, write_project


def built(tmp_path: Path, compiler: Compiler, invoke: str = NEGATE, kernels: dict[str, str] | None = None) -> Path:
    folder = write_project(tmp_path / "project", invoke, kernels)
    return build_firmware(folder, "stm32l4r9", compiler, tmp_path / "build")


def test_runs_every_vector(arm_compiler: Compiler, tmp_path: Path) -> None:
    execution = run_elf(built(tmp_path, arm_compiler))
    # -(-127) is 127; the project's expected outputs say 126.
    assert execution.outputs.tolist() == [[-1, -2, -3, -4], [5, 0, -127, 127]]
    assert execution.outputs.dtype == "int8"
    assert execution.mismatches == 1
    assert execution.core_hz == 120_000_000
    assert sum(execution.functions.values()) == execution.instructions[0]
    assert sum(execution.function_cycles.values()) == execution.cycles[0]
    assert len(execution.instructions) == len(execution.cycles) == 2


def test_the_name_of_the_model(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", NEGATE.replace("model_invoke", "digits_invoke"))
    header = (folder / "vectors.h").read_text()
    (folder / "vectors.h").write_text(
        header.replace(
            "#define VECTOR_COUNT",
            "void digits_invoke(void);\n#define model_invoke digits_invoke\n#define VECTOR_COUNT",
        )
    )
    (folder / "model.c").write_text(
        (folder / "model.c").read_text().replace('#include "model.h"', '#include "vectors.h"', 1)
    )
    elf = build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build")
    assert "digits_invoke" in run_elf(elf, name="digits").functions
    with pytest.raises(NasError, match="no function 'model_invoke'"):
        run_elf(elf)


MIXED = """
#include "kernels/mixed.h"
void model_invoke(void) { mixed(arena, arena + 4); }
"""
# Conditions (IT blocks), calls, divisions, a switch and a structure that is copied by memcpy.
MIXED_C = """
#include "mixed.h"
struct block { int8_t bytes[200]; };
static int32_t clamp(int32_t x) { return x > 100 ? 100 : x < -100 ? -100 : x; }
static __attribute__((noinline)) int32_t choose(int32_t x)
{
    switch (x & 7) {
    case 0: return x * 3;
    case 1: return x / 3;
    case 2: return clamp(x);
    case 3: return -x;
    case 4: return x - 17;
    case 5: return x + 91;
    default: return 5;
    }
}
static __attribute__((noinline)) struct block filled(int8_t x)
{
    struct block result;
    for (int32_t i = 0; i < 200; i++) {
        result.bytes[i] = (int8_t)(x + choose(i));
    }
    return result;
}
void mixed(const int8_t *input, int8_t *output)
{
    struct block block = filled(input[0]);
    struct block other = block;
    for (int32_t i = 0; i < 200; i++) {
        const int64_t wide = (int64_t)block.bytes[199 - i] * 12345;
        other.bytes[i] = (int8_t)clamp(other.bytes[i] * input[i & 3] + (int32_t)(wide >> 7));
    }
    for (int32_t i = 0; i < 4; i++) {
        output[i] = other.bytes[i * 50];
    }
}
"""


def test_blocks_add_up_to_the_instructions_executed(arm_compiler: Compiler, tmp_path: Path) -> None:
    """Against an independent count: the emulator's own hook on every single instruction."""
    header = "#include <stdint.h>\nvoid mixed(const int8_t *input, int8_t *output);\n"
    elf = built(tmp_path, arm_compiler, MIXED, {"mixed.h": header, "mixed.c": MIXED_C})
    execution = run_elf(elf)
    assert execution.instructions[0] > 2000

    image = load_image(elf)
    machine = Machine(image)
    entry = image.function("model_invoke").address
    traces: list[list[int]] = []
    back = [0]

    def trace(uc: Any, address: int, size: int, _: object) -> None:
        if address == back[0]:
            back[0] = 0
        if address == entry:
            back[0] = machine.return_address
            traces.append([])
        if back[0]:
            traces[-1].append(address)

    machine._uc.hook_add(machine._unicorn.UC_HOOK_CODE, trace)
    machine.run(image.function("board_halt").address, Meter(machine, {entry: "invoke"}, 10**6).hook)
    assert tuple(len(calls) + skipped(machine, calls) for calls in traces) == execution.instructions
    machine.close()


def skipped(machine: Machine, trace: list[int]) -> int:
    """Instructions whose condition failed: the hook passes over them, and control jumps without a branch."""
    disassembler = Cs(CS_ARCH_ARM, CS_MODE_THUMB | CS_MODE_MCLASS)
    disassembler.detail = True
    total = 0
    for address, following in pairwise(trace):
        instruction = next(disassembler.disasm(machine.read(address, 4), address))
        end = address + instruction.size
        branches = instruction.group(CS_GRP_JUMP) or instruction.group(CS_GRP_CALL)
        if following != end and not branches and "pc" not in instruction.op_str:
            total += len(list(disassembler.disasm(machine.read(end, following - end), end)))
    return total


# Faults.

# gcc warns of addresses that it can see to be wrong.
HIDDEN = """
static uintptr_t hidden(uintptr_t address)
{
    __asm volatile("" : "+r"(address));
    return address;
}
"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("*(volatile int32_t *)0x08000010 = 1;", "writes 4 bytes at 0x08000010, which is flash, in model_invoke"),
        ("*(volatile int8_t *)0x081fffff = 1;", "writes 1 bytes at 0x081fffff, which is flash"),
        ("arena[4] = *(volatile int8_t *)0x08200000;", "reads 1 bytes at 0x08200000, where there is no memory"),
        ("*(volatile int32_t *)0x200a0000 = 1;", "writes 4 bytes at 0x200a0000, where there is no memory"),
        ("arena[4] = *(volatile int8_t *)0x10000000;", "reads 1 bytes at 0x10000000, where there is no memory"),
        ("arena[4] = *(volatile int8_t *)hidden(4);", "reads 1 bytes at 0x00000004, where there is no memory"),
        ("*(volatile uint32_t *)0x48000014 = 1u;", "writes 4 bytes at 0x48000014, where there is no memory"),
        (
            "*(volatile uint32_t *)0x4002104cu = 1u;",
            "accesses a peripheral register at 0x4002104c, which is not modelled",
        ),
        (
            "*(volatile uint32_t *)0xe000e010u = 1u;",
            "accesses a peripheral register at 0xe000e010, which is not modelled",
        ),
        ("*(volatile uint8_t *)0x40022000u = 1u;", "accesses 1 bytes of FLASH_ACR; only whole words are modelled"),
        ("((void (*)(void))0x20000101)();", "runs into 0x20000100, where there is no code"),
        (
            "((void (*)(void))0x40000101)();",
            "ends in an exception, a jump to no code, outside of all functions, called",
        ),
        ('__asm volatile("svc #0");', "ends in an exception, a supervisor call"),
        ('__asm volatile("udf #0");', "stops: Invalid instruction"),
    ],
)
def test_what_the_chip_does_not_allow(statement: str, message: str, arm_gcc: Compiler, tmp_path: Path) -> None:
    elf = built(tmp_path, arm_gcc, f"{HIDDEN}\nvoid model_invoke(void) {{ (void)hidden; {statement} }}\n")
    with pytest.raises(NasError, match="the firmware " + message.replace("(", r"\(")) as caught:
        run_elf(elf)
    assert "pc 0x" in str(caught.value)


def test_place_of_a_fault(arm_gcc: Compiler, tmp_path: Path) -> None:
    body = "movs r0, #1\nlsls r0, r0, #27\nstr r0, [r0]\nbx lr"
    elf = built(tmp_path, arm_gcc, naked(body))
    place = load_image(elf).function("model_invoke").address + 4
    with pytest.raises(NasError, match=rf"in model_invoke \(pc {place:#010x}\)"):
        run_elf(elf)


@pytest.mark.parametrize("instruction", ["ldrd r2, r3, [r0]", "ldm r0, {r2, r3}", "strd r2, r3, [r0, #4]"])
def test_unaligned_double_words_fault(instruction: str, arm_gcc: Compiler, tmp_path: Path) -> None:
    body = f"ldr r0, =0x20004001\n{instruction}\nbx lr\n.ltorg"
    with pytest.raises(NasError, match=r"at 0x2000400[15], which faults \(no multiple of 4\)"):
        run_elf(built(tmp_path, arm_gcc, naked(body)))


def test_unaligned_single_words_are_allowed(arm_gcc: Compiler, tmp_path: Path) -> None:
    body = "ldr r0, =0x20004001\nldr r2, [r0]\nldrh r2, [r0, #2]\nbx lr\n.ltorg"
    assert run_elf(built(tmp_path, arm_gcc, naked(body))).instructions == (4, 4)


def test_fpu_before_it_is_enabled(arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", naked("vmov s0, r0\nbx lr"))
    assert run_elf(build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build")).instructions == (2, 2)
    startup = folder / "stm32l4r9" / "startup.c"
    startup.write_text(startup.read_text().replace("SCB_CPACR |= 0xFu << 20;", ""))
    with pytest.raises(NasError, match="uses the floating-point unit before CPACR has enabled it in model_invoke"):
        run_elf(build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "other"))


def test_an_instruction_without_cycles(arm_gcc: Compiler, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"instruction `vdiv\.f32 s0, s1, s2` in model_invoke .* has no cycle count"):
        run_elf(built(tmp_path, arm_gcc, naked("vdiv.f32 s0, s1, s2\nbx lr")))


def test_a_runaway_is_ended(arm_compiler: Compiler, tmp_path: Path) -> None:
    elf = built(tmp_path, arm_compiler, "void model_invoke(void) { while (*(volatile int8_t *)arena != 99) {} }\n")
    with pytest.raises(NasError, match="has not come to an end after 5000 instructions, in model_invoke"):
        run_elf(elf, instruction_limit=5000)


def test_the_limit_holds_for_each_call(arm_gcc: Compiler, tmp_path: Path) -> None:
    elf = built(tmp_path, arm_gcc, naked("movs r0, #250\n1: subs r0, #1\nbne 1b\nbx lr"))
    assert run_elf(elf, instruction_limit=3000).instructions == (502, 502)
    with pytest.raises(NasError, match="after 500 instructions"):
        run_elf(elf, instruction_limit=500)


def test_a_fault_handler_that_ran_is_told(arm_gcc: Compiler, tmp_path: Path) -> None:
    elf = built(
        tmp_path, arm_gcc, "void UsageFault_Handler(void);\nvoid model_invoke(void) { UsageFault_Handler(); }\n"
    )
    with pytest.raises(NasError, match="the firmware took exception 0"):
        run_elf(elf)


def test_only_targets_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="target 'pdp11' has no virtual target yet: stm32l4r9 and esp32s2 have one"):
        run_elf(tmp_path / "none.elf", "pdp11")


# Stack.


@pytest.mark.parametrize(
    ("body", "stack", "painted"),
    [
        ("bx lr", 0, 0),
        # Five registers and a frame, whose lowest word is written.
        ("push {r4-r7, lr}\nsub sp, #1024\nstr r0, [sp]\nadd sp, #1024\npop {r4-r7, pc}", 1044, 1044),
        # The frame is never written: painting sees the registers alone, the stack pointer tells.
        ("push {r4-r7, lr}\nsub sp, #1024\nadd sp, #1024\npop {r4-r7, pc}", 1044, 20),
        # A call below a frame: 8 + 16 of the caller and 12 of the callee, which returns at once.
        (
            "push {r4, lr}\nsub sp, #16\nbl 1f\nadd sp, #16\npop {r4, pc}\n1: push {r4, r5, lr}\npop {r4, r5, pc}",
            36,
            36,
        ),
        # A frame of a size that is in a register.
        ("push {r4, lr}\nmov r4, sp\nmovs r0, #200\nsub sp, sp, r0\nbl 1f\nmov sp, r4\npop {r4, pc}\n1: bx lr", 208, 8),
    ],
)
def test_depth_of_the_stack(body: str, stack: int, painted: int, arm_gcc: Compiler, tmp_path: Path) -> None:
    execution = run_elf(built(tmp_path, arm_gcc, naked(body)))
    assert (execution.stack_bytes, execution.painted_stack_bytes) == (stack, painted)
    # main and Reset_Handler lie above it.
    assert painted < execution.total_stack_bytes < 8192


def test_painting_sees_the_calls_after_the_first(arm_gcc: Compiler, tmp_path: Path) -> None:
    invoke = """
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
    execution = run_elf(built(tmp_path, arm_gcc, invoke))
    assert execution.stack_bytes == execution.painted_stack_bytes
    assert execution.stack_bytes > 8 * 64


def test_the_stack_cannot_leave_its_section(arm_compiler: Compiler, tmp_path: Path) -> None:
    invoke = """
static __attribute__((noinline)) int32_t sink(int32_t n)
{
    volatile int32_t local[32];
    local[n & 31] = n;
    return arena[0] == 99 ? n : sink(n + 1) + local[(n + 1) & 31];
}
void model_invoke(void) { arena[4] = (int8_t)sink(0); }
"""
    with pytest.raises(NasError, match=r"writes 4 bytes at 0x1fff[0-9a-f]{4}, below RAM, where the stack starts,"):
        run_elf(built(tmp_path, arm_compiler, invoke))
