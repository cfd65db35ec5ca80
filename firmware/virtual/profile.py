"""Turn counts of executed control transfers into instructions and cycles.

The emulator reports the start of every block it executes. Counting pairs (block before, block) is all that has to
happen while it runs: what a block costs is static, and whether its last instruction branched shows in where the next
one starts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from firmware.virtual.cycles import REFILL, Block
from search_spaces.errors import NasError

EXIT = -1
"""Stands for the block that is returned to, which is not counted."""

Edge = tuple[int | None, int]
"""Start of the block before (None at the entry) and of the block executed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Totals of one call, and the same by function."""

    instructions: int
    cycles: int
    functions: Mapping[str, int]
    function_cycles: Mapping[str, int]


def count_instructions(edges: Mapping[Edge, int], blocks: Mapping[int, Block]) -> int:
    """Instructions executed along `edges`."""
    return sum(count * blocks[start].instructions for (_, start), count in edges.items() if start != EXIT)


def profile(edges: Mapping[Edge, int], blocks: Mapping[int, Block], function_at: Callable[[int], str]) -> Profile:
    """Cost of everything executed along `edges`.

    Args:
        edges: how often control went from one block to another.
        blocks: decoded blocks by their start.
        function_at: name of the function at an address.

    Raises:
        NasError: an executed instruction has no timing rule.
    """
    functions: Counter[str] = Counter()
    cycles: Counter[str] = Counter()
    for (before, start), count in edges.items():
        if start != EXIT:
            block, name = blocks[start], function_at(start)
            if block.unknown is not None:
                raise NasError(f"instruction `{block.unknown}` in {name} ({start:#010x}) has no cycle count")
            functions[name] += count * block.instructions
            cycles[name] += count * block.cycles
        if before is None:
            continue
        if start != blocks[before].end:
            cycles[function_at(before)] += count * REFILL
        elif start != EXIT:
            cycles[function_at(start)] -= count * blocks[start].saved_after(blocks[before])
    ranked = {name: functions[name] for name in sorted(functions, key=lambda name: (-functions[name], name))}
    return Profile(functions.total(), cycles.total(), ranked, {name: cycles[name] for name in ranked})
