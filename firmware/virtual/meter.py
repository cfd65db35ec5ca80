"""Measure every call of certain functions while firmware runs: instructions, cycles, stack."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from firmware.virtual.cycles import Block, decode_block
from firmware.virtual.machine import BlockHook, Machine
from firmware.virtual.profile import EXIT, Edge, Profile, count_instructions, profile

STACK_PATTERN: Final = 0xA5C3965A
"""What start-up code paints the stack with (board.h), and the meter before every call."""

_BLOCKS_BETWEEN_CHECKS: Final = 100_000

_LIMIT_OUTSIDE: Final = 100_000_000
"""Instructions of start-up code and harness between two calls; painting and copying all of RAM takes a million."""


class Meter:
    """Follows the blocks that a machine executes.

    The hook counts how often control goes from block to block, and nothing else, as long as it has seen the pair
    before; whatever has to be looked at never enters that table.

    Args:
        entries: names of the functions to measure by their address; none of them calls another.
        instruction_limit: upper bound for each of their calls.

    Attributes:
        calls: cost of every call of each function so far.
        depth: deepest stack of the functions' first calls, by the stack pointer.
        painted_depth: deepest stack of any call, by what was written to.
        total_depth: deepest stack since reset, by what was written to.
        core_hz: clock of the core at the first call.
    """

    def __init__(self, machine: Machine, entries: Mapping[int, str], instruction_limit: int) -> None:
        self._machine = machine
        self._entries = entries
        self._called = ""
        self._limit = instruction_limit
        self._stack_limit = machine.image.label("__stack_limit")
        self._stack_top = machine.image.label("__stack_top")
        self._blocks: dict[int, Block] = {}
        self._sizes: dict[int, int] = {}
        # Pairs that only have to be counted, and those whose every occurrence is looked at.
        self._common: dict[Edge, int] = {}
        self._watched: dict[Edge, int] = {}
        self._return: int | None = None
        self._frame = 0
        self.calls: dict[str, list[Profile]] = {name: [] for name in entries.values()}
        self.depth = 0
        self.painted_depth = 0
        self.total_depth = 0
        self.core_hz = machine.registers.core_hz

    @property
    def hook(self) -> BlockHook:
        """For `Machine.run`. Called for every block executed: locals only."""
        common, look = self._common, self._look
        interval = max(1, min(_BLOCKS_BETWEEN_CHECKS, self._limit // 4))
        previous: int | None = None
        remaining = interval

        def on_block(uc: Any, address: int, size: int, _: object) -> None:
            nonlocal previous, remaining
            try:
                common[previous, address] += 1
            except KeyError:
                look(previous, address, size)
            previous = address
            remaining -= 1
            if not remaining:
                remaining = interval
                self._check_limit()

        return on_block

    def finish(self) -> None:
        """To be called at the end of the run."""
        self.total_depth = max(self.total_depth, self._painted(self._stack_top))

    def _look(self, previous: int | None, address: int, size: int) -> None:
        """A pair that is new, or one where more than counting is to be done."""
        if address == self._return:
            self._leave(previous)
            previous = None
        if address in self._entries:
            self._enter(self._entries[address])
            previous = None
        block = self._block(address, size)
        edge = (previous, address)
        first = self._return is not None and not self.calls[self._called]
        if first and self._moves_stack(previous, block):
            self.depth = max(self.depth, self._frame - self._machine.stack_pointer + block.deepest)
            self._watched[edge] = self._watched.get(edge, 0) + 1
        elif previous is None or address in self._entries or address == self._return:
            self._watched[edge] = self._watched.get(edge, 0) + 1
        else:
            self._common[edge] = 1

    def _block(self, address: int, size: int) -> Block:
        if address not in self._blocks:
            block = decode_block(self._machine.read(address, size), address)
            if block.uses_fpu and not self._machine.registers.fpu_enabled:
                raise self._machine.error("uses the floating-point unit before CPACR has enabled it")
            self._blocks[address], self._sizes[address] = block, size
        elif self._sizes[address] != size:
            raise self._machine.error(f"has a block at {address:#010x} that ends in two places: it cannot be counted")
        return self._blocks[address]

    def _moves_stack(self, previous: int | None, block: Block) -> bool:
        """Whether the stack may be deeper than seen before: in the block itself, or at its start."""
        return block.deepest > 0 or (previous is not None and self._blocks[previous].moves_stack_unclearly)

    def _enter(self, name: str) -> None:
        self._check_limit()
        if not any(self.calls.values()):
            self.core_hz = self._machine.registers.core_hz
        self._called = name
        self._return, self._frame = self._machine.return_address, self._machine.stack_pointer
        # Painting hides how deep the stack was before.
        self.total_depth = max(self.total_depth, self._painted(self._stack_top))
        words = (self._frame - self._stack_limit) // 4
        self._machine.write(self._stack_limit, struct.pack("<I", STACK_PATTERN) * words)
        self._clear()

    def _leave(self, previous: int | None) -> None:
        self._check_limit()
        self._watched[previous, EXIT] = 1
        self.calls[self._called].append(profile(self._executed(), self._blocks, self._machine.image.function_at))
        self.painted_depth = max(self.painted_depth, self._painted(self._frame))
        self._return = None
        self._machine.stop_checking_alignment()
        self._clear()

    def _clear(self) -> None:
        # The hook holds on to the table: empty it, do not replace it.
        self._common.clear()
        self._watched.clear()

    def _executed(self) -> dict[Edge, int]:
        return {**self._common, **self._watched}

    def _painted(self, top: int) -> int:
        """Bytes from `top` down to the deepest word of the stack that no longer holds the pattern."""
        stack = self._machine.read(self._stack_limit, self._stack_top - self._stack_limit)
        written = np.flatnonzero(np.frombuffer(stack, "<u4") != STACK_PATTERN)
        return max(0, top - self._stack_limit - 4 * int(written[0])) if written.size else 0

    def _check_limit(self) -> None:
        limit = _LIMIT_OUTSIDE if self._return is None else self._limit
        if count_instructions(self._executed(), self._blocks) > limit:
            raise self._machine.error(f"has not come to an end after {limit} instructions,")
