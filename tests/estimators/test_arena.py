from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.arena import Packing, live_bytes, lower_bound, pack
from estimators.blocks import ALIGNMENT, Block, Overlap, aligned


@st.composite
def blocks(draw: st.DrawFn, most: int = 20) -> list[Block]:
    steps = draw(st.integers(1, most))
    rows = []
    for _ in range(draw(st.integers(1, most))):
        first = draw(st.integers(0, steps - 1))
        rows.append(Block(draw(st.integers(1, 300)), first, draw(st.integers(first, steps - 1))))
    return rows


@st.composite
def overlapping(draw: st.DrawFn, most: int = 20) -> tuple[list[Block], list[Overlap]]:
    """Blocks, some of which may overlap one that dies as they are born."""
    rows = draw(blocks(most))
    overlaps: list[Overlap] = []
    used: set[tuple[int, int]] = set()  # block and step
    for output, row in enumerate(rows):
        sources = [i for i, other in enumerate(rows) if i != output and other.last == row.first]
        free = [i for i in sources if not {(i, row.first), (output, row.first)} & used]
        if draw(st.booleans()) and free:
            source = draw(st.sampled_from(free))
            used |= {(source, row.first), (output, row.first)}
            overlaps.append(Overlap(output, source, draw(st.integers(0, row.size))))
    return rows, overlaps


def chain(sizes: list[int]) -> list[Block]:
    """Tensors of a network without branches: each lives in the step that writes it and in the next."""
    return [Block(size, max(index - 1, 0), min(index, len(sizes) - 2)) for index, size in enumerate(sizes)]


def chain_overlaps(lags: Sequence[int]) -> list[Overlap]:
    """Each tensor of a chain may overlap the one before it."""
    return [Overlap(index + 1, index, lag) for index, lag in enumerate(lags)]


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
    ("sizes", "lag", "live"),
    [
        ((16, 8), 0, 16),  # the output within the input
        ((16, 8), 5, 16 + 8),  # starts 8 bytes below it
        ((8, 16), 8, 16),  # the input at the output's end
        ((8, 16), 0, 16),
        ((8, 16), 16, 8 + 16),  # no byte in common
    ],
)
def test_two_that_overlap_count_as_far_as_they_reach(sizes: tuple[int, int], lag: int, live: int) -> None:
    rows, overlaps = chain(list(sizes)), chain_overlaps([lag])
    assert live_bytes(rows, overlaps) == [live]
    assert pack(rows, overlaps).size == live


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
    # By size: both 8s at 0, a 4 at 8 beside one of them, and the other 4, which meets all three, only at 12.
    rows = chain([8, 4, 4, 8])
    assert lower_bound(rows) == 12
    assert pack(rows).size == 12


def test_outputs_below_their_inputs_go_down_and_down() -> None:
    """Two steps in a row run 8 bytes ahead of their input: the first input lies 16 above the last output."""
    rows, overlaps = chain([32, 32, 32]), chain_overlaps([8, 8])
    assert lower_bound(rows, overlaps) == 40
    assert pack(rows, overlaps) == Packing((16, 8, 0), 48)


def test_scratch_fits_beside_a_tensor_that_must_stay_low() -> None:
    rows = [*chain([40, 40]), Block(8, 0, 0)]
    assert pack(rows, [Overlap(1, 0, 4)]).size == 44 + 8


@given(overlapping())
def test_blocks_alive_together_lie_apart_or_as_far_as_they_must(given: tuple[list[Block], list[Overlap]]) -> None:
    rows, overlaps = given
    packing, lags = pack(rows, overlaps), {(output, source): lag for output, source, lag in overlaps}
    for a, b in itertools.permutations(range(len(rows)), 2):
        if rows[a].first <= rows[b].last and rows[b].first <= rows[a].last:
            a_below = packing.offsets[a] + lags.get((a, b), rows[a].size) <= packing.offsets[b]
            b_below = packing.offsets[b] + lags.get((b, a), rows[b].size) <= packing.offsets[a]
            assert a_below or b_below


@given(overlapping())
def test_arena_lies_between_the_largest_live_set_and_the_sum(given: tuple[list[Block], list[Overlap]]) -> None:
    rows, overlaps = given
    packing = pack(rows, overlaps)
    assert lower_bound(rows, overlaps) <= packing.size <= sum(aligned(row.size) for row in rows)
    assert packing.size == max(offset + aligned(row.size) for offset, row in zip(packing.offsets, rows, strict=True))
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in packing.offsets)


@given(overlapping())
def test_overlaps_never_cost_anything(given: tuple[list[Block], list[Overlap]]) -> None:
    rows, overlaps = given
    assert lower_bound(rows, overlaps) <= lower_bound(rows)


@given(overlapping())
def test_packing_is_deterministic(given: tuple[list[Block], list[Overlap]]) -> None:
    rows, overlaps = given
    assert pack(rows, overlaps) == pack(list(rows), list(overlaps))


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=40))
def test_a_chain_always_meets_the_bound(sizes: list[int]) -> None:
    rows = chain(sizes)
    assert pack(rows).size == lower_bound(rows)


@settings(max_examples=60, deadline=None)
@given(overlapping(most=5))
def test_no_packing_is_smaller(given: tuple[list[Block], list[Overlap]]) -> None:
    assert pack(*given).size == exhaustive(*given)


def exhaustive(rows: list[Block], overlaps: list[Overlap]) -> int:
    """The smallest arena of all: blocks in every order, each as low as those before it allow if it lies above them."""
    lags = {(output, source): lag for output, source, lag in overlaps}
    best = sum(aligned(row.size) for row in rows)
    for order in itertools.permutations(range(len(rows))):
        offsets: dict[int, int] = {}
        for index in order:
            floors = [
                offset + aligned(lags.get((other, index), rows[other].size))
                for other, offset in offsets.items()
                if rows[other].first <= rows[index].last and rows[index].first <= rows[other].last
            ]
            offsets[index] = max(floors, default=0)
        best = min(best, max(offset + aligned(rows[index].size) for index, offset in offsets.items()))
    return best


def test_a_long_chain_takes_a_few_milliseconds() -> None:
    """Thirty steps, each with scratch, the lags such that the bound cannot be met."""
    sizes = [4096 + 64 * (7 * i % 5) for i in range(31)]
    rows = [*chain(sizes), *(Block(256 + 8 * i, i, i) for i in range(30))]
    overlaps = chain_overlaps([80] * 30)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        packing = pack(rows, overlaps)
        seconds.append(time.process_time() - start)
    assert lower_bound(rows, overlaps) < packing.size < 2 * 4096
    assert min(seconds) < 0.1
