from __future__ import annotations

import pytest
from hypothesis import given, settings

from estimators import sweep
from estimators.arena import live_bytes, lower_bound, pack
from estimators.blocks import Block, Blocks, Overlap
from tests.estimators.test_arena import exhaustive, overlapping


def smaller(rows: list[Block], overlaps: list[Overlap], limit: int) -> int | None:
    """Bytes of what the sweep finds for all of the blocks."""
    given = Blocks.of(rows, overlaps)
    found = sweep.smaller(given, range(len(rows)), max(live_bytes(rows, overlaps), default=0), limit)
    return None if found is None else max(offset + given.sizes[block] for block, offset in found.items())


@settings(max_examples=60, deadline=None)
@given(overlapping(most=5))
def test_the_smallest_or_nothing(given: tuple[list[Block], list[Overlap]]) -> None:
    least = exhaustive(*given)
    assert smaller(*given, least + 4) == least
    assert smaller(*given, least) is None


def test_a_tensor_remembered_beside_a_chain() -> None:
    """By hand: 32 bytes stay, 16 become 24 and 8 beside them; nothing overlaps."""
    rows = [Block(32, 0, 2), Block(16, 0, 0), Block(24, 0, 1), Block(8, 1, 2)]
    assert lower_bound(rows) == 72
    assert smaller(rows, [], 1000) == 72


# Sizes and lives for which the first arrangement that is followed is not the best.
_TANGLE = [Block(4 * (7 * i % 11 + 1), i // 2, i // 2 + i % 4) for i in range(24)]


def test_what_is_found_in_a_hurry_is_still_a_packing(monkeypatch: pytest.MonkeyPatch) -> None:
    best = pack(_TANGLE).size
    limit = sum(block.size for block in _TANGLE)
    monkeypatch.setattr(sweep, "MOST_BIRTHS", 120)
    hurried = smaller(_TANGLE, [], limit)
    assert hurried is not None
    assert best <= hurried < limit


def test_it_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MOST_BIRTHS", 2)
    assert smaller(_TANGLE, [], 10_000) is None
    assert pack(_TANGLE).size >= lower_bound(_TANGLE)
