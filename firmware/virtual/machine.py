"""An emulated Cortex-M4 with the memory map of the STM32L4R9, which refuses what the chip would not do.

The map is the chip's: 2 MB of flash that cannot be written, 640 KB of RAM, and the system registers that start-up code
and harness need (`system_registers`). Any other access ends the run with an error that names address and place. So do
what the emulator would let pass and the core would not: LDRD, LDM and the like on an address that is no multiple of
four, and the floating-point unit before it is enabled. RAM starts with arbitrary contents, as on the chip.
"""

from __future__ import annotations

import importlib
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from firmware.virtual.cycles import AlignedAccess, aligned_accesses
from firmware.virtual.elf import FirmwareImage
from firmware.virtual.system_registers import PAGE_SIZE, PAGES, SystemRegisters
from search_spaces.errors import NasError

FLASH: Final = range(0x08000000, 0x08000000 + 2048 * 1024)
RAM: Final = range(0x20000000, 0x20000000 + 640 * 1024)

_RAM_AT_POWER_ON: Final = 0xDB
_NEAR: Final = 64 * 1024
_EXCEPTIONS: Final = {1: "an undefined instruction", 2: "a supervisor call", 3: "a jump to no code", 7: "a breakpoint"}
"""Numbers that the emulator gives to exceptions; others are shown as they are."""

BlockHook = Callable[[Any, int, int, object], None]


@contextmanager
def held_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Calls ``stop`` on SIGINT and SIGTERM, and only at the end of the block the handlers they have.

    What a handler raises between two lines of a hook is an error that the emulator may drop: the run would go on, and
    count one block too few. A run that was stopped has no result: KeyboardInterrupt is raised when no handler raises.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    handlers = {kind: handler for kind, handler in before.items() if callable(handler)}

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        stop()

    for kind in handlers:
        signal.signal(kind, hold)
    try:
        yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)
        if held:
            signal.raise_signal(held[0])
            raise KeyboardInterrupt


class Machine:
    """The chip with an image in its flash. The emulator is loaded here: only who runs firmware pays for it."""

    def __init__(self, image: FirmwareImage) -> None:
        self.image = image
        self.registers = SystemRegisters()
        self._failure: NasError | None = None
        # The emulator's package has no type hints.
        self._unicorn: Any = importlib.import_module("unicorn")
        self._arm: Any = importlib.import_module("unicorn.arm_const")
        constants = self._unicorn
        read_execute = constants.UC_PROT_READ | constants.UC_PROT_EXEC
        read_write = constants.UC_PROT_READ | constants.UC_PROT_WRITE
        self._uc: Any = constants.Uc(constants.UC_ARCH_ARM, constants.UC_MODE_THUMB | constants.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(self._arm.UC_CPU_ARM_CORTEX_M4)
        self._uc.mem_map(FLASH.start, len(FLASH), read_execute)
        self._uc.mem_map(RAM.start, len(RAM), read_write)
        self._uc.mem_write(FLASH.start, b"\xff" * len(FLASH))
        self._uc.mem_write(RAM.start, bytes([_RAM_AT_POWER_ON]) * len(RAM))
        for address, data in image.segments:
            if address not in FLASH or address + len(data) > FLASH.stop:
                raise NasError(f"{image.path} loads {len(data)} bytes to {address:#010x}, outside of the flash")
            self._uc.mem_write(address, data)
        for page in PAGES:
            self._uc.mem_map(page, PAGE_SIZE, read_write)
        self._add_hooks()
        self._checked: set[int] = set()
        self._alignment_hooks = {
            access.address: self._add_alignment_hook(access) for access in self._aligned_accesses()
        }

    def run(self, until: int, on_block: BlockHook | None = None) -> None:
        """Start as after a reset, and stop before the instruction at `until` is executed.

        Args:
            on_block: called with (emulator, address, size, None) before every block of straight-line code; errors it
                raises end the run.

        Raises:
            NasError: no vector table, or the firmware did something that the chip does not allow.
        """
        stack_pointer, reset = struct.unpack("<II", self.image.read(FLASH.start, 8))
        if stack_pointer - 4 not in RAM or not reset & 1:
            raise NasError(
                f"{self.image.path} starts with {stack_pointer:#010x}, {reset:#010x}: that is no vector table"
            )
        if on_block is not None:
            self._uc.hook_add(self._unicorn.UC_HOOK_BLOCK, on_block)
        self._uc.reg_write(self._arm.UC_ARM_REG_MSP, stack_pointer)
        self._start(reset, until)

    def go_on(self, until: int) -> None:
        """Continue where the run has stopped, and stop before the instruction at another place, `until`."""
        # What was translated while `until` was another place would run on through this one.
        self._uc.ctl_remove_cache(until, until + 2)
        self._start(int(self._uc.reg_read(self._arm.UC_ARM_REG_PC)) | 1, until)

    def _start(self, begin: int, until: int) -> None:
        try:
            with held_signals(self._uc.emu_stop):
                self._uc.emu_start(begin, until)
        except self._unicorn.UcError as error:
            raise self._failure or self.error(f"stops: {error}") from error
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Free the emulator's memory now. Its own objects refer to each other, and would keep it until Python looks."""
        finalizer = getattr(self._uc, "_Uc__finalizer", None)
        if finalizer is not None:
            finalizer()

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self._uc.mem_write(address, data)

    @property
    def stack_pointer(self) -> int:
        return int(self._uc.reg_read(self._arm.UC_ARM_REG_SP))

    @property
    def return_address(self) -> int:
        """Link register without the bit that says "Thumb code"."""
        return int(self._uc.reg_read(self._arm.UC_ARM_REG_LR)) & ~1

    def error(self, what: str) -> NasError:
        """An error that says what the firmware does, and where."""
        pc = int(self._uc.reg_read(self._arm.UC_ARM_REG_PC)) & ~1
        name = self.image.function_at(pc)
        caller = self.image.function_at(self.return_address)
        place = f"in {name}" if name != "?" else f"outside of all functions, called from {caller},"
        return NasError(f"the firmware {what} {place} (pc {pc:#010x})")

    def stop_checking_alignment(self) -> None:
        """Of the instructions that were executed so far: the checks cost time, and addresses hardly depend on data."""
        for address in self._checked & self._alignment_hooks.keys():  # code that is running keeps its hooks for a while
            self._uc.hook_del(self._alignment_hooks.pop(address))
        self._checked.clear()

    def _add_hooks(self) -> None:
        constants = self._unicorn
        self._uc.hook_add(constants.UC_HOOK_MEM_INVALID, self._guarded(self._on_invalid_access))
        self._uc.hook_add(constants.UC_HOOK_INTR, self._guarded(self._on_exception))
        for page in PAGES:
            last = page + PAGE_SIZE - 1
            self._uc.hook_add(constants.UC_HOOK_MEM_READ, self._guarded(self._on_register_read), None, page, last)
            self._uc.hook_add(constants.UC_HOOK_MEM_WRITE, self._guarded(self._on_register_write), None, page, last)

    def _guarded(self, hook: Callable[..., None]) -> Callable[..., bool]:
        """Keep the first error of a hook: the emulator drops it where it then ends with an error of its own."""

        def call(uc: Any, *arguments: Any) -> bool:
            try:
                hook(*arguments)
            except NasError as error:
                self._failure = self._failure or error
                uc.emu_stop()
            return False

        return call

    def _on_invalid_access(self, access: int, address: int, size: int, value: int, _: object) -> None:
        constants = self._unicorn
        if access in (constants.UC_MEM_FETCH_UNMAPPED, constants.UC_MEM_FETCH_PROT):
            raise self.error(f"runs into {address:#010x}, where there is no code,")
        verb = "writes" if access in (constants.UC_MEM_WRITE_UNMAPPED, constants.UC_MEM_WRITE_PROT) else "reads"
        if address in FLASH:
            where = "which is flash"
        elif RAM.start - _NEAR <= address < RAM.start:
            where = "below RAM, where the stack starts"
        else:
            where = "where there is no memory"
        raise self.error(f"{verb} {size} bytes at {address:#010x}, {where},")

    def _on_exception(self, number: int, _: object) -> None:
        raise self.error(f"ends in an exception, {_EXCEPTIONS.get(number, f'number {number} of the emulator')},")

    def _on_register_read(self, access: int, address: int, size: int, value: int, _: object) -> None:
        try:
            held = self.registers.read(address, size)
        except NasError as error:
            raise self.error(str(error)) from error
        # The hook runs before the load, which then finds the value in the memory under the registers.
        self.write(address, held.to_bytes(4, "little"))

    def _on_register_write(self, access: int, address: int, size: int, value: int, _: object) -> None:
        try:
            self.registers.write(address, size, value & 0xFFFF_FFFF)
        except NasError as error:
            raise self.error(str(error)) from error

    def _aligned_accesses(self) -> list[AlignedAccess]:
        symbols = set(self.image.functions.values())
        return [
            access
            for symbol in sorted(symbols, key=lambda symbol: symbol.address)
            for access in aligned_accesses(self.image.read(symbol.address, symbol.size), symbol.address)
        ]

    def _add_alignment_hook(self, access: AlignedAccess) -> int:
        register = getattr(self._arm, f"UC_ARM_REG_{access.register.upper()}")

        def check(address: int, size: int, _: object) -> None:
            self._checked.add(address)
            target = (int(self._uc.reg_read(register)) + access.offset) & 0xFFFF_FFFF
            if target % 4:
                raise self.error(f"executes `{access.text}` at {target:#010x}, which faults (no multiple of 4),")

        hook = self._guarded(check)
        return int(self._uc.hook_add(self._unicorn.UC_HOOK_CODE, hook, None, access.address, access.address))
