from __future__ import annotations

import pytest

from firmware.virtual.cycles import Block
from firmware.virtual.profile import EXIT, count_instructions, profile
from search_spaces.errors import NasError


def block(end: int, instructions: int, cycles: int, unknown: str | None = None) -> Block:
    return Block(end, instructions, cycles, 0, False, False, unknown)


# outer: 0x100 falls into 0x108, which loops to itself and calls inner at 0x200; inner returns to 0x110, which returns.
BLOCKS = {0x100: block(0x108, 4, 5), 0x108: block(0x110, 3, 4), 0x110: block(0x112, 1, 1), 0x200: block(0x204, 2, 3)}
EDGES = {
    (None, 0x100): 1,
    (0x100, 0x108): 1,
    (0x108, 0x108): 9,
    (0x108, 0x200): 1,
    (0x200, 0x110): 1,
    (0x110, EXIT): 1,
}


def name_of(address: int) -> str:
    return "inner" if address >= 0x200 else "outer"


def test_totals_worked_out_by_hand() -> None:
    result = profile(EDGES, BLOCKS, name_of)
    # outer: 4 + 10 * 3 + 1; inner: 2.
    assert result.functions == {"outer": 35, "inner": 2}
    # outer: 5 + 10 * 4 + 1, and 2 for each of nine loops, the call and the return; inner: 3, and 2 for its return.
    assert result.function_cycles == {"outer": 46 + 2 * (9 + 1 + 1), "inner": 3 + 2}
    assert (result.instructions, result.cycles) == (37, 68 + 5)
    assert list(result.functions) == ["outer", "inner"]
    assert count_instructions(EDGES, BLOCKS) == 37


def test_loads_on_both_sides_of_a_page() -> None:
    first = Block(0x108, 4, 5, 0, False, False, None, closes=3)
    follows = Block(0x110, 3, 4, 0, False, False, None, opens=(2, 1))
    needs = Block(0x110, 3, 4, 0, False, False, None, opens=(3, 1))
    edges = {(None, 0x100): 1, (0x100, 0x108): 7}
    assert profile(edges, {0x100: first, 0x108: follows}, name_of).cycles == 5 + 7 * (4 - 1)
    assert profile(edges, {0x100: first, 0x108: needs}, name_of).cycles == 5 + 7 * 4
    # From elsewhere, by a branch.
    assert profile({(None, 0x100): 1, (0x100, 0x10C): 1}, {0x100: first, 0x10C: follows}, name_of).cycles == 5 + 2 + 4


def test_nothing_executed() -> None:
    result = profile({}, {}, name_of)
    assert (result.instructions, result.cycles, dict(result.functions)) == (0, 0, {})


def test_only_what_is_executed_needs_a_rule() -> None:
    blocks = {**BLOCKS, 0x200: block(0x204, 2, 3, "wfi")}
    assert profile({(None, 0x100): 1}, blocks, name_of).cycles == 5
    with pytest.raises(NasError, match=r"instruction `wfi` in inner \(0x00000200\) has no cycle count"):
        profile(EDGES, blocks, name_of)
