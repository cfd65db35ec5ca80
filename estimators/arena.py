"""Packs blocks with lifetimes into one static arena.

An exact packing is NP-hard, yet the networks of the spaces are nearly chains, where placing blocks alternately at both
ends of an arena as large as the largest live set always succeeds. So: first-fit by decreasing size, then placement from
both ends within that lower bound, then other orders; the first packing that meets the bound ends the search.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

ALIGNMENT: Final = 4
"""Offsets are multiples of this many bytes, so that kernels may load words."""

_TRIALS_PER_BLOCK: Final = 12
"""Placements that the two-ended search may try for each block before it gives up."""


class Block(NamedTuple):
    """``size`` bytes needed from step ``first`` to step ``last``, both included."""

    size: int
    first: int
    last: int


class Packing(NamedTuple):
    """An offset for each block, and the arena's bytes, a multiple of ALIGNMENT."""

    offsets: tuple[int, ...]
    size: int


def aligned(size: int) -> int:
    """``size`` rounded up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def live_bytes(blocks: Sequence[Block]) -> list[int]:
    """Bytes alive in each step, every block rounded up to ALIGNMENT."""
    steps = max((block.last for block in blocks), default=-1) + 1
    change = [0] * (steps + 1)
    for size, first, last in blocks:
        change[first] += aligned(size)
        change[last + 1] -= aligned(size)
    live, total = [], 0
    for step in range(steps):
        total += change[step]
        live.append(total)
    return live


def lower_bound(blocks: Sequence[Block]) -> int:
    """The largest live set in bytes: no arena that holds the blocks is smaller."""
    return max(live_bytes(blocks), default=0)


def pack(blocks: Sequence[Block]) -> Packing:
    """Offsets such that blocks alive in a common step never overlap; the smallest arena of all that were tried.

    Deterministic: equal blocks get equal offsets. Takes about n^2 / 2 comparisons when the first order meets the bound.
    """
    bound = lower_bound(blocks)
    best: Packing | None = None
    for attempt in _ATTEMPTS:
        offsets = attempt(blocks, bound)
        if offsets is None:
            continue
        size = max((offset + aligned(block.size) for offset, block in zip(offsets, blocks, strict=True)), default=0)
        if best is None or size < best.size:
            best = Packing(tuple(offsets), size)
        if best.size == bound:
            break
    assert best is not None, "first-fit always finds a packing"
    return best


def _first_fit(blocks: Sequence[Block], order: Sequence[int]) -> list[int]:
    """Each block in turn at the lowest offset that is free throughout its life."""
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last
    for index in order:
        size, first, last = blocks[index]
        size = aligned(size)
        offset = 0
        for start, end in sorted([(p[0], p[1]) for p in placed if p[2] <= last and first <= p[3]]):
            if start - offset >= size:
                break
            if end > offset:
                offset = end
        offsets[index] = offset
        placed.append((offset, offset + size, first, last))
    return offsets


def _both_ends(blocks: Sequence[Block], capacity: int) -> list[int] | None:
    """Blocks in order of birth, each as low or as high as it fits into ``capacity``; None when the trials run out.

    Depth first; each block tries the end away from the block before it.
    """
    order = sorted(range(len(blocks)), key=lambda i: (blocks[i].first, -blocks[i].size))
    offsets = [0] * len(blocks)
    trials = _TRIALS_PER_BLOCK * len(blocks)
    options: list[list[int]] = []  # what is left to try, per depth
    depth, low = 0, True
    while depth < len(order):
        index = order[depth]
        if depth == len(options):
            options.append(_ends(blocks, offsets, order[:depth], index, capacity, low))
        if not options[depth]:
            options.pop()
            depth -= 1
            if depth < 0:
                return None
            continue
        trials -= 1
        if trials < 0:
            return None
        offsets[index] = options[depth].pop()
        low = offsets[index] != 0
        depth += 1
    return offsets


def _ends(
    blocks: Sequence[Block], offsets: Sequence[int], placed: Sequence[int], index: int, capacity: int, low: bool
) -> list[int]:
    """The lowest and the highest offset where a block fits among those placed, the preferred one last."""
    size, first, last = blocks[index]
    size = aligned(size)
    taken = sorted(
        [
            (offsets[other], offsets[other] + aligned(blocks[other].size))
            for other in placed
            if blocks[other].first <= last and first <= blocks[other].last
        ]
    )
    gaps, floor = [], 0
    for start, end in [*taken, (capacity, capacity)]:
        if start - floor >= size:
            gaps.append((floor, start))
        floor = max(floor, end)
    if not gaps:
        return []
    lowest, highest = gaps[0][0], gaps[-1][1] - size
    if lowest == highest:
        return [lowest]
    return [highest, lowest] if low else [lowest, highest]


def _by_size(blocks: Sequence[Block], bound: int) -> list[int]:
    return _first_fit(blocks, sorted(range(len(blocks)), key=lambda i: (-blocks[i].size, blocks[i].first)))


def _by_area(blocks: Sequence[Block], bound: int) -> list[int]:
    area = [size * (last - first + 1) for size, first, last in blocks]
    return _first_fit(blocks, sorted(range(len(blocks)), key=lambda i: (-area[i], blocks[i].first)))


def _peak_first(blocks: Sequence[Block], bound: int) -> list[int]:
    """The blocks of the fullest step first, then by decreasing size."""
    peak = live_bytes(blocks).index(bound) if blocks else 0
    return _first_fit(
        blocks,
        sorted(range(len(blocks)), key=lambda i: (not blocks[i].first <= peak <= blocks[i].last, -blocks[i].size)),
    )


_ATTEMPTS: Final[tuple[Callable[[Sequence[Block], int], list[int] | None], ...]] = (
    _by_size,
    _both_ends,
    _peak_first,
    _by_area,
)
