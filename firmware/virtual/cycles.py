"""Cycles of Cortex-M4 code by the core's timing rules.

Source: Arm DDI 0439D, Cortex-M4 Technical Reference Manual, tables 3-1 and 3-2 and section 3.3.2; zero wait states,
that is, every fetch and load of a constant hits the caches in front of the flash. Where the manual leaves a choice:

- Branches: P, the cycles to refill the pipeline, is 1 to 3; 2 is taken. A taken branch costs 1 + P, one that is not
  taken 1. Calls, returns and loads of the program counter pay P in the same way.
- Single loads cost 2, or 1 directly after another single load or store whose result they do not need for their
  address (table 3-1, note b); single stores cost 1. LDRD, STRD, LDM, STM, PUSH and POP cost 1 + N and break such a row.
- SDIV and UDIV take 2 to 12 cycles, depending on the operands; 6 is taken.
- IT costs 1: folding it onto the instruction before (note d) is not counted on. An instruction whose condition fails is
  charged as if it were executed.
- Not counted: stalls of an address computed by the instruction before, unaligned accesses (1 or 2 cycles more).

An instruction without a rule is no guess: it makes the count fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from capstone import Cs, CsInsn

REFILL: Final = 2
"""Cycles more when the next instruction executed is not the next one in memory (P in the manual)."""

DIVIDE: Final = 6

NO_REGISTER: Final = -1

_SINGLE_LOADS: Final = frozenset("ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht".split())
_SINGLE_STORES: Final = frozenset("str strb strh strt strbt strht".split())
_DOUBLES: Final = frozenset({"ldrd", "strd"})
_STACKS: Final = frozenset({"push", "pop", "vpush", "vpop"})
_FPU_SINGLES: Final = frozenset({"vldr", "vstr"})
_MULTIPLES: Final = frozenset("ldm ldmdb stm stmdb vldmia vldmdb vstmia vstmdb".split())
_COSTS: Final[dict[str, int]] = {
    **dict.fromkeys(
        # Data processing, table 3-1.
        "mov movs movw movt add addw adc adr sub subw sbc rsb mul mla mls smull umull smlal umlal ssat usat cmp cmn "
        "and eor orr orn bic mvn tst teq lsl lsr asr ror rrx clz sxth sxtb uxth uxtb ubfx sbfx bfc bfi rev rev16 "
        "revsh rbit it clrex b bl bx blx cbz cbnz "
        # DSP extension, table 3-2.
        "smmla smmls smmul smmlar smmlsr smmulr smlabb smlabt smlatb smlatt smlalbb smlalbt smlaltb smlaltt smlald "
        "smlaldx smulbb smulbt smultb smultt smulwb smulwt smusd smusdx smlad smladx smlawb smlawt smlsd smlsdx smlsld "
        "smlsldx smuad smuadx umaal ssat16 usat16 pkhtb pkhbt sxtb16 uxtb16 uxtab uxtab16 uxtah sxtab sxtab16 sxtah "
        "sel usad8 usada8 uqadd16 uqadd8 qadd qadd16 qadd8 qdadd sadd8 sadd16 shadd16 shadd8 uadd16 uadd8 uhadd16 "
        "uhadd8 qdsub uqsub16 uqsub8 qsub qsub16 qsub8 shsub16 shsub8 ssub16 ssub8 uhsub16 uhsub8 usub16 usub8 uqasx "
        "uqsax sasx qasx qsax shasx shsax ssax uasx uhasx uhsax usax".split(),
        1,
    ),
    **dict.fromkeys(("sdiv", "udiv"), DIVIDE),
    # Loads of one word: the table's, and the FPU's (table 7-1), in whose registers compilers keep integers too.
    **dict.fromkeys(("tbb", "tbh", "vldr", "vstr"), 2),
}


@dataclass(frozen=True, slots=True)
class Block:
    """Straight-line code that ends where control may go elsewhere.

    Attributes:
        end: address behind the last instruction.
        cycles: when control falls through at the end; else REFILL more.
        deepest: bytes that it moves the stack pointer down, at the lowest point, by known amounts.
        moves_stack_unclearly: sets the stack pointer in another way (from a register, say).
        uses_fpu: holds an instruction of the floating-point unit.
        unknown: first instruction that has no timing rule, None when all have one.
        opens: a single load at its start: the registers that the address is made of; else None.
        closes: a single load at its end: the register that it writes, NO_REGISTER of a single store; else None.
    """

    end: int
    instructions: int
    cycles: int
    deepest: int
    moves_stack_unclearly: bool
    uses_fpu: bool
    unknown: str | None
    opens: tuple[int, ...] | None = None
    closes: int | None = None

    def saved_after(self, before: Block) -> int:
        """Cycles that its first load shares with the end of ``before``, which lies in front of it in memory.

        The emulator ends a block within straight-line code where a page of memory ends.
        """
        return int(self.opens is not None and before.closes is not None and before.closes not in self.opens)


@dataclass(frozen=True, slots=True)
class AlignedAccess:
    """An instruction that faults unless the register `register` plus `offset` is a multiple of four."""

    address: int
    text: str
    register: str
    offset: int


def decode_block(code: bytes, address: int) -> Block:
    """Cost of the Thumb instructions `code` at `address`, which end with the only one that may branch."""
    instructions = cycles = depth = deepest = 0
    moves_stack_unclearly = uses_fpu = False
    unknown: str | None = None
    end = address
    previous: CsInsn | None = None
    opens: tuple[int, ...] | None = None
    for instruction in _disassembler().disasm(code, address):
        name = str(instruction.insn_name())
        if previous is None:
            opens = _needed(instruction)
        cost = _cost(name, instruction, previous)
        if cost is None:
            unknown = unknown or f"{instruction.mnemonic} {instruction.op_str}".strip()
        cycles += cost or 0
        instructions += 1
        growth = _stack_growth(name, instruction)
        moves_stack_unclearly = moves_stack_unclearly or (not growth and _writes_stack_pointer(instruction))
        depth += growth
        deepest = max(deepest, depth)
        uses_fpu = uses_fpu or name.startswith("v")
        end = instruction.address + instruction.size
        previous = instruction
    if end != address + len(code):
        unknown = unknown or f"halfword {code[end - address : end - address + 2][::-1].hex()}"
        end = address + len(code)
    closes = None if previous is None else _written(previous)
    return Block(end, instructions, cycles, deepest, moves_stack_unclearly, uses_fpu, unknown, opens, closes)


def aligned_accesses(code: bytes, address: int) -> Iterator[AlignedAccess]:
    """Instructions in `code` that the core faults on when their address is no multiple of four.

    Those relative to the stack pointer and the program counter, which are always aligned, are left out. Data between
    the code may show up as instructions; nobody executes them.
    """
    from capstone.arm import ARM_REG_PC, ARM_REG_SP

    for instruction in _disassembler(skip_data=True).disasm(code, address):
        if instruction.id == 0:
            continue
        name = str(instruction.insn_name())
        if name in _DOUBLES | _FPU_SINGLES:
            memory = _memory(instruction)
            # With post-indexing, the access goes to the base itself.
            register, offset = memory.base, 0 if instruction.post_index else memory.disp
        elif name in _MULTIPLES:
            register, offset = instruction.operands[0].reg, 0
        else:
            continue
        if register not in (ARM_REG_SP, ARM_REG_PC):
            text = f"{instruction.mnemonic} {instruction.op_str}"
            yield AlignedAccess(instruction.address, text, str(instruction.reg_name(register)), int(offset))


@lru_cache(maxsize=2)
def _disassembler(skip_data: bool = False) -> Cs:
    from capstone import CS_ARCH_ARM, CS_MODE_MCLASS, CS_MODE_THUMB, Cs

    disassembler = Cs(CS_ARCH_ARM, CS_MODE_THUMB | CS_MODE_MCLASS)
    disassembler.detail = True
    disassembler.skipdata = skip_data
    return disassembler


def _cost(name: str, instruction: CsInsn, previous: CsInsn | None) -> int | None:
    if name in _SINGLE_LOADS:
        return 1 if previous is not None and _pipelines(previous, instruction) else 2
    if name in _SINGLE_STORES:
        return 1
    if name in _DOUBLES:
        return 3
    if name in _STACKS:
        return 1 + _registers(instruction, 0)
    if name in _MULTIPLES:
        return 1 + _registers(instruction, 1)
    if name == "vmov":
        # One register, or two of the core at once.
        return 1 if len(instruction.operands) == 2 else 2
    if instruction.mnemonic in ("nop", "nop.w"):
        return 1
    return _COSTS.get(name)


def _pipelines(previous: CsInsn, instruction: CsInsn) -> bool:
    """Whether the load `instruction` shares a cycle with the load or store directly before it."""
    needed, written = _needed(instruction), _written(previous)
    return needed is not None and written is not None and written not in needed


def _needed(instruction: CsInsn) -> tuple[int, ...] | None:
    """The registers that the address of a single load is made of; None for others, and where it always waits."""
    from capstone.arm import ARM_REG_PC

    # A load of the program counter is always blocking (section 3.3.2).
    if str(instruction.insn_name()) not in _SINGLE_LOADS or instruction.operands[0].reg == ARM_REG_PC:
        return None
    memory = _memory(instruction)
    return memory.base, memory.index


def _written(instruction: CsInsn) -> int | None:
    """The register that a single load writes, NO_REGISTER of a single store; None for others."""
    name = str(instruction.insn_name())
    if name in _SINGLE_STORES:
        return NO_REGISTER
    return int(instruction.operands[0].reg) if name in _SINGLE_LOADS else None


def _memory(instruction: CsInsn) -> Any:
    """Base, index and displacement of the memory operand, which every load and store of one address has."""
    from capstone.arm import ARM_OP_MEM

    return next(operand.mem for operand in instruction.operands if operand.type == ARM_OP_MEM)


def _registers(instruction: CsInsn, first: int) -> int:
    """Words moved by a register list that starts at operand `first`; a double register of the FPU counts twice."""
    return sum(
        2 if str(instruction.reg_name(operand.reg)).startswith("d") else 1 for operand in instruction.operands[first:]
    )


def _stack_growth(name: str, instruction: CsInsn) -> int:
    """Bytes that the stack grows by, negative when it shrinks; 0 where the amount is not in the instruction."""
    from capstone.arm import ARM_OP_IMM, ARM_REG_SP

    operands: list[Any] = list(instruction.operands)
    if name in ("push", "vpush"):
        return 4 * _registers(instruction, 0)
    if name in ("pop", "vpop"):
        return -4 * _registers(instruction, 0)
    if not operands:
        return 0
    if name in ("sub", "subw", "add", "addw") and operands[0].reg == ARM_REG_SP and operands[-1].type == ARM_OP_IMM:
        return int(operands[-1].imm) * (1 if name.startswith("sub") else -1)
    if name in ("stmdb", "vstmdb") and operands[0].reg == ARM_REG_SP and instruction.writeback:
        return 4 * _registers(instruction, 1)
    if name in _SINGLE_STORES | _DOUBLES and instruction.writeback and not instruction.post_index:
        memory = _memory(instruction)
        return -int(memory.disp) if memory.base == ARM_REG_SP else 0
    return 0


def _writes_stack_pointer(instruction: CsInsn) -> bool:
    from capstone.arm import ARM_REG_SP

    return ARM_REG_SP in instruction.regs_access()[1]
