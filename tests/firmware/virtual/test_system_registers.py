"""The order of steps that the reference manual of the STM32L4+ (RM0432) asks for, and what goes wrong without them."""

from __future__ import annotations

import pytest

from firmware.virtual.system_registers import SystemRegisters
from search_spaces.errors import NasError

CR1, SR2, CR5 = 0x40007000, 0x40007014, 0x40007080
CR, CFGR, PLLCFGR, APB1ENR1 = 0x40021000, 0x40021008, 0x4002100C, 0x40021058
ACR, CPACR = 0x40022000, 0xE000ED88

POWER_CLOCK = (APB1ENR1, 0x1000_0400)
HALVE = (CFGR, 0x80)
BOOST = (CR5, 0)
WAIT_5 = (ACR, 0x705)
PLL_120 = (PLLCFGR, 0x0100_3C01)  # MSI / 1 * 60 / 2
PLL_ON = (CR, 0x0100_0063)
SWITCH = (CFGR, 0x83)
WHOLE = (CFGR, 0x03)
STEPS = [POWER_CLOCK, HALVE, BOOST, WAIT_5, PLL_120, PLL_ON, SWITCH, WHOLE]


def after(steps: list[tuple[int, int]]) -> SystemRegisters:
    registers = SystemRegisters()
    for address, value in steps:
        registers.write(address, 4, value)
    return registers


def test_reset() -> None:
    registers = SystemRegisters()
    assert registers.core_hz == 4_000_000
    assert registers.read(CR, 4) == 0x63
    assert registers.read(CFGR, 4) == 0
    assert not registers.fpu_enabled


def test_clock_at_every_step() -> None:
    clocks = [after(STEPS[:count]).core_hz // 1_000_000 for count in range(len(STEPS) + 1)]
    assert clocks == [4, 4, 2, 2, 2, 2, 2, 60, 120]
    assert after(STEPS).read(CFGR, 4) == 0x0F  # SWS follows SW
    assert after(STEPS[:6]).read(CR, 4) == 0x0300_0063  # PLLRDY


def test_fpu() -> None:
    assert after([(CPACR, 0xF << 20)]).fpu_enabled
    with pytest.raises(NasError, match=r"writes 0x00000001 to CPACR, whose bits 0x00000001 are not modelled"):
        after([(CPACR, 1)])


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (POWER_CLOCK, "accesses PWR_CR5 before RCC_APB1ENR1.PWREN"),
        (BOOST, "runs at 120000000 Hz without range 1 boost mode"),
        (WAIT_5, "runs at 60000000 Hz with 0 flash wait states; 2 are needed"),
    ],
)
def test_a_step_left_out(left_out: tuple[int, int], message: str) -> None:
    with pytest.raises(NasError, match=message):
        after([step for step in STEPS if step != left_out])


def test_a_jump_without_halving() -> None:
    steps = [step for step in STEPS if step not in (HALVE, SWITCH)]
    with pytest.raises(NasError, match="jumps to 120000000 Hz without dividing the AHB clock by 2"):
        after(steps)


def test_a_pll_that_is_off_is_never_switched_to() -> None:
    registers = after([step for step in STEPS if step not in (PLL_ON, WHOLE)])
    assert registers.read(CFGR, 4) == 0x83  # SWS still says MSI
    assert registers.core_hz == 2_000_000


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ((PLLCFGR, 0x0100_2801), "to RCC_PLLCFGR while the PLL is on"),
        ((CR, 0x63), "switches off the clock that the core runs from"),
        ((CR5, 0x100), "without range 1 boost mode"),
        ((ACR, 0x704), "runs at 120000000 Hz with 4 flash wait states; 5 are needed"),
        ((CR, 0x0100_0163), "to RCC_CR, whose bits 0x00000100 are not modelled"),
        ((CR1, 0x400), "to PWR_CR1, whose bits 0x00000600 are not modelled"),
        ((0x40021060, 1), "a peripheral register at 0x40021060, which is not modelled"),
    ],
)
def test_what_is_forbidden_at_120_mhz(step: tuple[int, int], message: str) -> None:
    registers = after(STEPS)
    with pytest.raises(NasError, match=message):
        registers.write(step[0], 4, step[1])


def test_a_pll_above_the_limit() -> None:
    faster = [(PLLCFGR, 0x0100_5001) if step == PLL_120 else step for step in STEPS]
    with pytest.raises(NasError, match="a system clock of 160000000 Hz; at most 120000000 Hz"):
        after(faster)


def test_only_words() -> None:
    with pytest.raises(NasError, match="accesses 2 bytes of FLASH_ACR"):
        SystemRegisters().read(ACR, 2)


def test_status_bits_cannot_be_written() -> None:
    assert after([(CR, 0x61)]).read(CR, 4) == 0x63
    assert after([POWER_CLOCK]).read(SR2, 4) == 0
