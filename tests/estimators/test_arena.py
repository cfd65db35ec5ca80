from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.arena import ALIGNMENT, Block, Packing, aligned, live_bytes, lower_bound, pack


@st.composite
def blocks(draw: st.DrawFn) -> list[Block]:
    steps = draw(st.integers(1, 20))
    rows = []
    for _ in range(draw(st.integers(1, 20))):
        first = draw(st.integers(0, steps - 1))
        rows.append(Block(draw(st.integers(1, 300)), first, draw(st.integers(first, steps - 1))))
    return rows


def chain(sizes: list[int]) -> list[Block]:
    """Tensors of a network without branches: each lives in the step that writes it and in the next."""
    return [Block(size, max(index - 1, 0), min(index, len(sizes) - 2)) for index, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("rows", "live"),
    [
        ([], []),
        ([Block(4, 0, 0)], [4]),
        ([Block(3, 0, 0)], [4]),
        ([Block(8, 0, 1), Block(4, 1, 2)], [8, 12, 4]),
        ([Block(8, 0, 2), Block(4, 1, 1), Block(12, 2, 3)], [8, 12, 20, 12]),
    ],
)
def test_live_bytes_of_each_step(rows: list[Block], live: list[int]) -> None:
    assert live_bytes(rows) == live
    assert lower_bound(rows) == max(live, default=0)


@pytest.mark.parametrize(
    ("rows", "packing"),
    [
        ([], Packing((), 0)),
        ([Block(5, 0, 0)], Packing((0,), 8)),
        # Never alive together: one place for both.
        ([Block(8, 0, 0), Block(16, 1, 1)], Packing((0, 0), 16)),
        ([Block(8, 0, 1), Block(16, 1, 1)], Packing((16, 0), 24)),
    ],
)
def test_small_packings(rows: list[Block], packing: Packing) -> None:
    assert pack(rows) == packing


def test_greedy_by_size_alone_would_need_more() -> None:
    # By size: both 8s at 0, the first 4 at 8 beside them, and the second 4, which meets all three, only at 12.
    rows = chain([8, 4, 4, 8])
    assert lower_bound(rows) == 12
    assert pack(rows) == Packing((0, 8, 0, 4), 12)


@given(blocks())
def test_blocks_alive_together_never_overlap(rows: list[Block]) -> None:
    packing = pack(rows)
    for a, b in itertools.combinations(range(len(rows)), 2):
        if rows[a].first <= rows[b].last and rows[b].first <= rows[a].last:
            apart_below = packing.offsets[a] + rows[a].size <= packing.offsets[b]
            apart_above = packing.offsets[b] + rows[b].size <= packing.offsets[a]
            assert apart_below or apart_above


@given(blocks())
def test_arena_lies_between_the_largest_live_set_and_the_sum(rows: list[Block]) -> None:
    packing = pack(rows)
    assert lower_bound(rows) <= packing.size <= sum(aligned(row.size) for row in rows)
    assert packing.size == max(offset + aligned(row.size) for offset, row in zip(packing.offsets, rows, strict=True))
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in packing.offsets)


@given(blocks())
def test_packing_is_deterministic(rows: list[Block]) -> None:
    assert pack(rows) == pack(list(rows))


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=40))
def test_a_chain_always_meets_the_bound(sizes: list[int]) -> None:
    rows = chain(sizes)
    assert pack(rows).size == lower_bound(rows)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4))
def test_never_beats_exhaustive_search(rows: list[tuple[int, int, int]]) -> None:
    """First-fit over all orders contains an optimal packing, so nothing may be smaller, and little should be larger."""
    few = [Block(4 * size, min(a, b), max(a, b)) for size, a, b in rows]
    assert pack(few).size == _exhaustive(few)


def _exhaustive(rows: list[Block]) -> int:
    best = sum(row.size for row in rows)
    for order in itertools.permutations(rows):
        placed: list[tuple[int, Block]] = []
        for row in order:
            candidates = [0] + [offset + other.size for offset, other in placed]
            offset = min(
                c
                for c in candidates
                if all(
                    c + row.size <= o or o + other.size <= c or row.first > other.last or other.first > row.last
                    for o, other in placed
                )
            )
            placed.append((offset, row))
        best = min(best, max(offset + row.size for offset, row in placed))
    return best
