"""Costs worked out by hand from the Cortex-M4's Technical Reference Manual (Arm DDI 0439D), line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from firmware.toolchain import Compiler, find_arm_compiler, run_tool
from firmware.virtual import build_firmware, run_elf
from firmware.virtual.cycles import Block, aligned_accesses, decode_block
from tests.firmware.virtual.project import naked, write_project


def assemble(folder: Path, lines: str) -> bytes:
    source = ".syntax unified\n.thumb\n.text\n" + "\n".join(line.strip() for line in lines.split(";")) + "\n"
    run_tool([*find_arm_compiler("gcc").cc, "-c", "-x", "assembler", "-", "-o", "code.o"], cwd=folder, stdin=source)
    with (folder / "code.o").open("rb") as stream:
        return bytes(ELFFile(stream).get_section_by_name(".text").data())


def block(folder: Path, lines: str) -> Block:
    return decode_block(assemble(folder, lines), 0x08000000)


@pytest.mark.parametrize(
    ("lines", "cycles"),
    [
        # Table 3-1: data processing, shifts, extension, saturation: 1 each.
        ("adds r0, r1; lsls r0, r1, #3; mov r0, r9; movw r0, #1234; mvns r0, r1; cmp r0, #1", 6),
        ("sxtb r0, r1; ssat r0, #8, r1; usat r0, #8, r1, asr #2; ubfx r0, r1, #1, #5; clz r0, r1; nop", 6),
        # Table 3-1: every multiplication is 1, the 64-bit ones too.
        ("mul r0, r1, r0; mla r0, r1, r2, r3; mls r0, r1, r2, r3; smull r0, r1, r2, r3; smlal r0, r1, r2, r3", 5),
        # Table 3-2: the DSP extension is 1.
        ("smlad r0, r1, r2, r3; smulbb r0, r1, r2; smmulr r0, r1, r2; sxtb16 r0, r1; pkhbt r0, r1, r2, lsl #16", 5),
        # Table 3-1: division takes 2 to 12; 6 is the rule here.
        ("sdiv r0, r1, r2", 6),
        ("udiv r0, r1, r2; adds r0, #1", 7),
        # Table 3-1: a load is 2, a store 1 (section 3.3.2: STR is always one cycle).
        ("ldr r0, [r1]", 2),
        ("str r0, [r1]", 1),
        ("ldrsb r0, [r1, r2]; adds r0, #1; ldrh r3, [r1]", 2 + 1 + 2),
        # Section 3.3.2, the manual's own examples: three, three, three and four cycles.
        ("ldr r0, [r1]; ldr r1, [r2]", 3),
        ("ldr r0, [r1, r2]; str r0, [r3, #20]", 3),
        ("ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
        ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
        # The destination of the first is the address of the second, as base and as index: not pipelined.
        ("ldr r0, [r1]; ldr r2, [r0]", 4),
        ("ldr r0, [r1]; ldrb r2, [r3, r0]", 4),
        # A load directly after a store is pipelined (note b of table 3-1: neighbouring singles).
        ("str r0, [r1]; ldr r2, [r3]", 2),
        # The base that post-indexing moves is no loaded value.
        ("ldrsb r0, [r1], #1; ldrsb r2, [r1], #1", 3),
        # Table 3-1: 1 + N, pipelined with nothing around them (section 3.3.2).
        ("ldrd r0, r1, [r2]", 3),
        ("strd r0, r1, [r2]", 3),
        ("ldm r0!, {r1, r2, r3}", 4),
        ("stmdb r0!, {r1-r8}", 9),
        ("ldm r0!, {r1, r2}; ldr r3, [r4]", 3 + 2),
        ("ldr r3, [r4]; ldrd r0, r1, [r2]; ldr r5, [r6]", 2 + 3 + 2),
        ("push {r4-r7, lr}; pop {r4-r7}", 6 + 5),
        # Table 3-1: IT is 1 when it is not folded; what it guards is charged whether it is executed or not.
        ("cmp r0, #0; ite eq; moveq r1, #1; movne r1, #2", 4),
        # Table 7-1: integers kept in registers of the FPU.
        ("vmov s0, r1; vmov r2, s0; vldr s1, [r0]; vstr s1, [r0]; vpush {d8-d9}", 1 + 1 + 2 + 2 + 5),
        ("vmov r1, r2, s0, s1", 2),
        # Branches that fall through, and calls and returns before the pipeline is refilled: 1, loads of the PC 2.
        ("beq .", 1),
        ("cbz r0, 0f; 0:", 1),
        ("bl .", 1),
        ("bx lr", 1),
        ("pop {r4, pc}", 3),
        ("ldr r0, [r1]; ldr pc, [r2]", 4),
        ("tbb [pc, r0]", 2),
    ],
)
def test_cost_of_a_block(lines: str, cycles: int, tmp_path: Path) -> None:
    code = assemble(tmp_path, lines)
    result = decode_block(code, 0x08000000)
    assert (result.cycles, result.unknown) == (cycles, None)
    assert result.end == 0x08000000 + len(code)
    assert result.instructions == len([line for line in lines.split(";") if not line.strip().endswith(":")])


def test_an_instruction_without_a_rule_is_named(tmp_path: Path) -> None:
    assert block(tmp_path, "adds r0, #1; vdiv.f32 s0, s1, s2; wfi").unknown == "vdiv.f32 s0, s1, s2"
    assert block(tmp_path, "adds r0, #1; wfi").unknown == "wfi"
    assert decode_block(bytes.fromhex("0130ffff"), 0x08000000).unknown == "halfword ffff"


@pytest.mark.parametrize(
    ("lines", "deepest"),
    [
        ("adds r0, #1", 0),
        ("push {r4, r5, lr}; sub sp, #40; add sp, #40; pop {r4, r5, pc}", 52),
        ("sub.w sp, sp, #5120; push {r4}", 5124),
        ("str r4, [sp, #-8]!; strd r4, r5, [sp, #-16]!; stmdb sp!, {r4, r5}; vpush {d8}", 8 + 16 + 8 + 8),
        ("pop {r4, r5}; push {r4}", 0),
        ("ldr r4, [sp], #4; push {r4, r5}", 8 - 4),
    ],
)
def test_depth_of_the_stack_in_a_block(lines: str, deepest: int, tmp_path: Path) -> None:
    # A word taken off by a load counts as if it stayed, so that the depth is never too small.
    tolerance = 4 if "ldr" in lines else 0
    assert deepest <= block(tmp_path, lines).deepest <= deepest + tolerance


def test_a_stack_pointer_from_a_register_is_unclear(tmp_path: Path) -> None:
    assert block(tmp_path, "sub sp, sp, r3").moves_stack_unclearly
    assert block(tmp_path, "mov sp, r7").moves_stack_unclearly
    assert not block(tmp_path, "sub sp, #8; add sp, #8; push {r4}; pop {r4}").moves_stack_unclearly


@pytest.mark.parametrize(
    ("before", "after", "saved"),
    [
        ("adds r0, #1; ldr r1, [r2]", "ldr r3, [r4]; adds r0, #1", 1),
        ("str r1, [r2]", "ldrb r3, [r1, r4]", 1),
        ("ldr r1, [r2]", "ldr r3, [r1]", 0),
        ("ldr r1, [r2]", "ldr r3, [r4, r1]", 0),
        ("ldr r1, [r2]", "ldr pc, [r4]", 0),
        ("ldr r1, [r2]; nop", "ldr r3, [r4]", 0),
        ("ldr r1, [r2]", "str r3, [r4]", 0),
        ("ldrd r0, r1, [r2]", "ldr r3, [r4]", 0),
    ],
)
def test_straight_code_costs_the_same_in_two_blocks(tmp_path: Path, before: str, after: str, saved: int) -> None:
    first, second = block(tmp_path, before), block(tmp_path, after)
    assert second.saved_after(first) == saved
    assert block(tmp_path, f"{before}; {after}").cycles == first.cycles + second.cycles - saved


def test_fpu_is_noticed(tmp_path: Path) -> None:
    assert block(tmp_path, "vmov s0, r1").uses_fpu
    assert not block(tmp_path, "mov r0, r1").uses_fpu


def test_accesses_that_must_be_aligned(tmp_path: Path) -> None:
    lines = "ldrd r0, r1, [r9, #8]; ldrd r0, r1, [r2], #8; ldm r3, {r4, r5}; ldr r0, [r1]; push {r4}; vldr s0, [r5, #4]"
    found = [(access.register, access.offset) for access in aligned_accesses(assemble(tmp_path, lines), 0x08000000)]
    assert found == [("sb", 8), ("r2", 0), ("r3", 0), ("r5", 4)]


@pytest.mark.parametrize(
    ("body", "instructions", "cycles"),
    [
        # A call of nothing: bx 1 + refill 2.
        ("bx lr", 1, 3),
        # movs 1; ten times subs 1; bne taken nine times 3, not taken once 1; bx 3.
        ("movs r0, #10\n1: subs r0, #1\nbne 1b\nbx lr", 22, 1 + 10 + 9 * 3 + 1 + 3),
        # push 1 + 2; bl 3 to movs 1 and bx 3; pop with pc 1 + 2 and refill 2.
        ("push {r4, lr}\nbl 1f\npop {r4, pc}\n1: movs r4, #1\nbx lr", 5, 3 + 3 + 1 + 3 + 5),
        # movs 1, cbz not taken 1, cbnz taken 3 past one instruction, movs 1, bx 3.
        ("movs r0, #1\ncbz r0, 1f\ncbnz r0, 1f\nmovs r1, #1\n1: movs r1, #2\nbx lr", 5, 1 + 1 + 3 + 1 + 3),
        # The table branch costs 2 + refill 2; entry 0 leads three halfwords on, past two instructions.
        ("movs r0, #0\ntbb [pc, r0]\n.byte 1\n.byte 2\n1: bx lr\nnop", 3, 1 + 4 + 3),
        # movs, cmp and it 1 each, bxeq is executed and branches: 3.
        ("movs r0, #0\ncmp r0, #0\nit eq\nbxeq lr\nudf #0", 4, 1 + 1 + 1 + 3),
    ],
)
def test_cycles_of_executed_code(body: str, instructions: int, cycles: int, arm_gcc: Compiler, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", naked(body))
    execution = run_elf(build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build"))
    assert execution.instructions == (instructions,) * 2
    assert execution.cycles == (cycles,) * 2
