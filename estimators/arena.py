"""Packs blocks with lifetimes into one static arena; some may share bytes with a block that dies as they are born.

An exact packing is NP-hard, yet few tensors of a network are alive together and most are small beside those at its
peak. The most that any step needs is a lower bound (``lower_bound``). In this order, until it is met:

1. Blocks are placed by decreasing size, of equals what comes last first, each at the lowest free offset.
2. A block that fits into an arena of the bound's size wherever its neighbours lie, by their sizes alone, is set aside;
   then perhaps a neighbour of it no longer matters either (as registers are allocated by simplifying a graph). What is
   left is placed once more, the blocks of fuller steps first.
3. An exact search finds the smallest arena for what is left (``estimators.sweep``).

Blocks set aside take the lowest free offsets at last, in reverse order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from estimators import sweep
from estimators.blocks import ALIGNMENT, Block, Blocks, Overlap

_Neighbours = Sequence[Mapping[int, tuple[int, int]]]
"""For each block those alive in a step of its life, each with two distances: how far above the block's own start the
other one must start if it is the upper one, and how far below if it is the lower one."""


class Packing(NamedTuple):
    """An offset for each block, and the arena's bytes, a multiple of ALIGNMENT."""

    offsets: tuple[int, ...]
    size: int


def live_bytes(blocks: Sequence[Block], overlaps: Sequence[Overlap] = ()) -> list[int]:
    """Bytes that each step needs at least: every block rounded up to ALIGNMENT, two that may overlap as one."""
    return _live_bytes(Blocks.of(blocks, overlaps))


def lower_bound(blocks: Sequence[Block], overlaps: Sequence[Overlap] = ()) -> int:
    """The most that a step needs, in bytes: no arena that holds the blocks is smaller."""
    return max(live_bytes(blocks, overlaps), default=0)


def pack(blocks: Sequence[Block], overlaps: Sequence[Overlap] = ()) -> Packing:
    """Offsets such that blocks alive in a common step lie apart, or as one of ``overlaps`` allows.

    No arena is smaller unless the exact search was needed and gave up after ``sweep.MOST_BIRTHS``: then it is the
    smallest that was found. Deterministic: equal arguments give equal offsets.
    """
    given = Blocks.of(blocks, overlaps)
    live = _live_bytes(given)
    bound = max(live, default=0)
    neighbours = _neighbours(given)
    sizes, firsts, lasts = given.sizes, given.firsts, given.lasts

    def reach(offsets: Mapping[int, int]) -> int:
        return max([offset + sizes[block] for block, offset in offsets.items()], default=0)

    by_size = sorted(range(len(sizes)), key=lambda i: (-sizes[i], -firsts[i]))
    offsets = _first_fit(neighbours, by_size, {})
    if reach(offsets) > bound:
        core, aside = _simplify(given, neighbours, bound)
        fullest = sorted(core, key=lambda i: (-max(live[firsts[i] : lasts[i] + 1]), -sizes[i], -firsts[i]))
        offsets = min({i: offsets[i] for i in core}, _first_fit(neighbours, fullest, {}), key=reach)
        if reach(offsets) > bound:
            offsets = sweep.smaller(given, core, bound, reach(offsets)) or offsets
        offsets = _first_fit(neighbours, aside[::-1], offsets)
    return Packing(tuple([offsets[block] for block in range(len(sizes))]), reach(offsets))


def _live_bytes(blocks: Blocks) -> list[int]:
    steps = max(blocks.lasts, default=-1) + 1
    change = [0] * (steps + 1)
    for size, first, last in zip(blocks.sizes, blocks.firsts, blocks.lasts, strict=True):
        change[first] += size
        change[last + 1] -= size
    live, total = [], 0
    for step in range(steps):
        total += change[step]
        live.append(total)
    for output, (source, lag) in blocks.above.items():
        upper, lower = blocks.sizes[source], blocks.sizes[output]
        live[blocks.firsts[output]] -= upper + lower - max(lower, lag + upper)
    return live


def _neighbours(blocks: Blocks) -> _Neighbours:
    sizes, firsts, lasts = blocks.sizes, blocks.firsts, blocks.lasts
    neighbours: list[dict[int, tuple[int, int]]] = [{} for _ in sizes]
    alive: list[int] = []
    for block in sorted(range(len(sizes)), key=firsts.__getitem__):
        first, size, near = firsts[block], sizes[block], neighbours[block]
        alive = [other for other in alive if lasts[other] >= first]
        for other in alive:
            near[other] = size, sizes[other]
            neighbours[other][block] = sizes[other], size
        alive.append(block)
    for output, (source, lag) in blocks.above.items():
        neighbours[output][source] = lag, sizes[source]
        neighbours[source][output] = sizes[source], lag
    return neighbours


def _simplify(blocks: Blocks, neighbours: _Neighbours, capacity: int) -> tuple[list[int], list[int]]:
    """The blocks whose places matter in an arena of ``capacity`` bytes, and the others in the order of setting aside.

    A neighbour keeps a block from starting less than one distance below and less than the other above its own start.
    Where all neighbours together leave a multiple of ALIGNMENT from 0 to capacity - size, wherever they lie, the block
    fits last.
    """
    taken = [sum([up + down - ALIGNMENT for up, down in near.values()]) for near in neighbours]
    starts = [capacity - size + ALIGNMENT for size in blocks.sizes]
    aside = [block for block, count in enumerate(taken) if count < starts[block]]
    gone = set(aside)
    for block in aside:
        for other, (up, down) in neighbours[block].items():
            if other not in gone:
                taken[other] -= up + down - ALIGNMENT
                if taken[other] < starts[other]:
                    gone.add(other)
                    aside.append(other)
    return [block for block in range(len(taken)) if block not in gone], aside


def _first_fit(neighbours: _Neighbours, order: Collection[int], placed: Mapping[int, int]) -> dict[int, int]:
    """Offsets of those ``placed`` and of each block in turn at the lowest offset that is free throughout its life."""
    offsets = dict(placed)
    for block in order:
        # The block cannot start strictly between these.
        taken = sorted(
            [
                (offsets[other] - up, offsets[other] + down)
                for other, (up, down) in neighbours[block].items()
                if other in offsets
            ]
        )
        offset = 0
        for start, end in taken:
            if start >= offset:
                break
            if end > offset:
                offset = end
        offsets[block] = offset
    return offsets
