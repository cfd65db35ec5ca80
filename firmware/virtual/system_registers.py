"""The few system registers of the STM32L4R9 that start-up code and harness touch, and what the chip demands of them.

Registers, reset values and rules: reference manual RM0432 (STM32L4+), sections PWR, RCC and FLASH; CPACR: Arm's
ARMv7-M Architecture Reference Manual. Every other register, and every bit of these that is not modelled, is refused:
firmware that needs more of the chip than is modelled here has not been tested by running here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from search_spaces.errors import NasError

PAGES: Final = (0x40007000, 0x40021000, 0x40022000, 0xE000E000)
"""Addresses of the 4 KiB pages that hold the registers."""

PAGE_SIZE: Final = 0x1000

MSI_HZ: Final = 4_000_000
"""Frequency of the internal oscillator that the chip starts with (range 6)."""

PLL_LIMIT_HZ: Final = 120_000_000
NORMAL_RANGE_HZ: Final = 80_000_000
"""Above it the voltage regulator must be in range 1 boost mode."""

HZ_PER_WAIT_STATE: Final = 20_000_000

_PWR_CR1, _PWR_SR2, _PWR_CR5 = 0x40007000, 0x40007014, 0x40007080
_RCC_CR, _RCC_CFGR, _RCC_PLLCFGR, _RCC_APB1ENR1 = 0x40021000, 0x40021008, 0x4002100C, 0x40021058
_FLASH_ACR = 0x40022000
_CPACR = 0xE000ED88

_MSION, _MSIRDY, _PLLON, _PLLRDY = 1 << 0, 1 << 1, 1 << 24, 1 << 25
_R1MODE = 1 << 8
_PWREN = 1 << 28
_PLLREN = 1 << 24
_SOURCE_MSI, _CLOCK_MSI, _CLOCK_PLL = 1, 0, 3
_FPU_FULL_ACCESS = 0xF << 20


@dataclass(frozen=True, slots=True)
class _Register:
    name: str
    reset: int
    writable: int


_REGISTERS: Final = {
    _PWR_CR1: _Register("PWR_CR1", 0x0000_0200, 0),
    _PWR_SR2: _Register("PWR_SR2", 0x0000_0000, 0),
    _PWR_CR5: _Register("PWR_CR5", _R1MODE, _R1MODE),
    _RCC_CR: _Register("RCC_CR", 0x0000_0063, _MSION | _PLLON),
    _RCC_CFGR: _Register("RCC_CFGR", 0x0000_0000, 0x0000_00F3),  # SW, HPRE
    _RCC_PLLCFGR: _Register("RCC_PLLCFGR", 0x0000_1000, 0x0700_7FF3),  # PLLSRC, PLLM, PLLN, PLLREN, PLLR
    _RCC_APB1ENR1: _Register("RCC_APB1ENR1", 0x0000_0400, _PWREN),
    _FLASH_ACR: _Register("FLASH_ACR", 0x0000_0600, 0x0000_070F),  # LATENCY, PRFTEN, ICEN, DCEN
    _CPACR: _Register("CPACR", 0x0000_0000, _FPU_FULL_ACCESS),
}
_STATUS: Final = {_RCC_CR: _MSIRDY | _PLLRDY, _RCC_CFGR: 0x0000_000C}
"""Bits that hardware sets: a write leaves them as they are."""


class SystemRegisters:
    """State of the modelled registers. Errors are sentences without the place in the code, which the caller adds."""

    def __init__(self) -> None:
        self._values = {address: register.reset for address, register in _REGISTERS.items()}

    @property
    def fpu_enabled(self) -> bool:
        return self._values[_CPACR] & _FPU_FULL_ACCESS == _FPU_FULL_ACCESS

    @property
    def core_hz(self) -> int:
        """Clock of the core and of the buses (HCLK)."""
        prescaler = self._values[_RCC_CFGR] >> 4 & 15
        # 0xxx: not divided; 1000 to 1011: 2 to 16; 1100 to 1111: 64 to 512.
        divider = 1 if prescaler < 8 else 2 << (prescaler - 8) if prescaler < 12 else 4 << (prescaler - 8)
        return self._system_hz // divider

    def read(self, address: int, size: int) -> int:
        """Value of the register at `address`.

        Raises:
            NasError: there is no modelled register, or the chip would not answer.
        """
        self._check(address, size)
        return self._values[address]

    def write(self, address: int, size: int, value: int) -> None:
        """Store `value` and let the chip react.

        Raises:
            NasError: there is no modelled register, a bit is not modelled, or the chip forbids the value in this state.
        """
        self._check(address, size)
        register, old = _REGISTERS[address], self._values[address]
        status = _STATUS.get(address, 0)
        value = value & ~status | old & status
        strange = (value ^ old) & ~register.writable
        if strange:
            raise NasError(f"writes {value:#010x} to {register.name}, whose bits {strange:#010x} are not modelled")
        if address == _RCC_PLLCFGR and self._values[_RCC_CR] & _PLLON:
            raise NasError(f"writes {value:#010x} to RCC_PLLCFGR while the PLL is on")
        before = self._system_hz
        self._values[address] = value
        self._react()
        self._check_clocks(register.name, value, before)

    @property
    def _system_hz(self) -> int:
        return self._pll_hz if self._values[_RCC_CFGR] >> 2 & 3 == _CLOCK_PLL else MSI_HZ

    @property
    def _pll_hz(self) -> int:
        setting = self._values[_RCC_PLLCFGR]
        divider, factor, output = (setting >> 4 & 15) + 1, setting >> 8 & 127, ((setting >> 25 & 3) + 1) * 2
        return MSI_HZ * factor // divider // output

    def _react(self) -> None:
        """Oscillators start at once, and the clock switch follows as soon as its source runs."""
        control = self._values[_RCC_CR] & ~(_MSIRDY | _PLLRDY)
        setting = self._values[_RCC_PLLCFGR]
        if control & _MSION:
            control |= _MSIRDY
        if control & _PLLON and control & _MSION and setting & 3 == _SOURCE_MSI:
            control |= _PLLRDY
        self._values[_RCC_CR] = control
        switch = self._values[_RCC_CFGR] & 3
        runs = {_CLOCK_MSI: control & _MSIRDY, _CLOCK_PLL: control & _PLLRDY and setting & _PLLREN}
        if runs.get(switch):
            self._values[_RCC_CFGR] = self._values[_RCC_CFGR] & ~12 | switch << 2

    def _check(self, address: int, size: int) -> None:
        if address not in _REGISTERS:
            raise NasError(f"accesses a peripheral register at {address:#010x}, which is not modelled")
        name = _REGISTERS[address].name
        if size != 4:
            raise NasError(f"accesses {size} bytes of {name}; only whole words are modelled")
        if name.startswith("PWR") and not self._values[_RCC_APB1ENR1] & _PWREN:
            raise NasError(f"accesses {name} before RCC_APB1ENR1.PWREN has switched its clock on")

    def _check_clocks(self, name: str, value: int, before: int) -> None:
        wrote = f"writes {value:#010x} to {name}"
        control, clock = self._values[_RCC_CR], self._values[_RCC_CFGR] >> 2 & 3
        if not control & (_PLLON if clock == _CLOCK_PLL else _MSION):
            raise NasError(f"{wrote} and so switches off the clock that the core runs from")
        system, core = self._system_hz, self.core_hz
        if system > PLL_LIMIT_HZ:
            raise NasError(f"{wrote} and so sets a system clock of {system} Hz; at most {PLL_LIMIT_HZ} Hz is allowed")
        if system > NORMAL_RANGE_HZ and self._values[_PWR_CR5] & _R1MODE:
            raise NasError(f"{wrote} and so runs at {system} Hz without range 1 boost mode (PWR_CR5.R1MODE = 0)")
        if system > NORMAL_RANGE_HZ >= before and core == system:
            raise NasError(f"{wrote} and so jumps to {system} Hz without dividing the AHB clock by 2 meanwhile")
        needed = -(-core // HZ_PER_WAIT_STATE) - 1
        latency = self._values[_FLASH_ACR] & 15
        if latency < needed:
            raise NasError(f"{wrote} and so runs at {core} Hz with {latency} flash wait states; {needed} are needed")
