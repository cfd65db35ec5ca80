"""The smallest arena, exactly: all arrangements of blocks worth following, in order of time.

Two blocks alive in a common step lie one above the other, so those alive in a step stand in a row. An arrangement says
at which place of the row each block is born; what it needs is a longest path: a block starts no lower than the arena,
and no lower than each block below it plus the distance that the two must keep; the arena reaches above all.

In a step only the blocks alive in it matter. Of all that happened before, an arrangement keeps the longest path from
the arena's start to each living block (its head), from each to the arena's end (its tail), between each two, and from
start to end. One that is nowhere better than another with the same row is dropped, likewise one that already needs as
much as a packing known before. Nothing else is lost, so the best arrangement at the end is the best of all.

In a network without branches one block lives on from step to step, and what is left of it is a handful of heads and
tails: the search is then linear in the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import chain
from operator import add, le
from typing import Final, NamedTuple

from estimators.blocks import Blocks

MOST_BIRTHS: Final = 500
"""Births that the search may look at before it stops to look for the very best: a few tens of milliseconds."""


class _Birth(NamedTuple):
    """A block's place in the row when it was born, and the birth before it."""

    block: int
    below: tuple[int, ...]
    above: tuple[int, ...]
    before: _Birth | None


class _State(NamedTuple):
    """An arrangement of the blocks born so far, as far as later ones can tell.

    ``row`` are the living blocks, the lowest first. Lengths in bytes: ``size`` from the arena's start to its end,
    ``heads`` from the start to each block of the row, ``tails`` from each to the end, ``paths[i][j]`` from the i-th to
    the j-th above it (0 where j is not above i).
    """

    size: int
    row: tuple[int, ...]
    heads: tuple[int, ...]
    tails: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]
    last: _Birth | None

    @property
    def lengths(self) -> tuple[int, ...]:
        return (self.size, *self.heads, *self.tails, *chain.from_iterable(self.paths))


def smaller(blocks: Blocks, chosen: Sequence[int], bound: int, limit: int) -> dict[int, int] | None:
    """Offsets of the ``chosen`` blocks in their smallest packing, if it needs less than ``limit`` bytes.

    Arrangements that need least are followed first, of equals the one that has come furthest, so that one which meets
    ``bound``, which no packing can be smaller than, is found soon. After MOST_BIRTHS the one that has come furthest
    goes first, whatever it needs: the packing is then one smaller than ``limit``, not the smallest.

    None where there is no packing smaller than ``limit``, or none was found within twice MOST_BIRTHS.
    """
    firsts, lasts = blocks.firsts, blocks.lasts
    order = sorted(chosen, key=lambda i: (firsts[i], -blocks.sizes[i]))
    kept: list[dict[tuple[int, ...], list[tuple[int, ...]]]] = [{} for _ in order]
    births = 0
    waiting = [(bound, len(order), 0, births, _State(0, (), (), (), (), None))]
    while waiting and births < 2 * MOST_BIRTHS:
        _, left, _, _, state = heappop(waiting)
        if not left:
            return _offsets(state.last, blocks)
        block = order[-left]
        state = _living(state, lasts, firsts[block])
        for place in range(len(state.row) + 1):
            births += 1
            born = _born(state, blocks, block, place)
            better, lengths = kept[-left].setdefault(born.row, []), born.lengths
            if born.size >= limit or any(all(map(le, other, lengths)) for other in better):
                continue
            better.append(lengths)
            needs = max(bound, born.size) if births <= MOST_BIRTHS else 0
            heappush(waiting, (needs, left - 1, born.size, births, born))
    return None


def _born(state: _State, blocks: Blocks, block: int, place: int) -> _State:
    """The arrangement with ``block`` at a place of the row."""
    _, row, heads, tails, paths, last = state
    below, above = row[:place], row[place:]
    to_it = [blocks.distance(other, block) for other in below]
    from_it = [blocks.distance(block, other) for other in above]
    head = max([0, *map(add, heads, to_it)])
    tail = max([blocks.sizes[block], *map(add, from_it, tails[place:])])
    up = [max([paths[i][j] + to_it[j] for j in range(i, place)]) for i in range(place)]
    down = [max([from_it[j] + paths[place + j][place + k] for j in range(k + 1)]) for k in range(len(above))]
    return _State(
        max(state.size, head + tail),
        (*below, block, *above),
        (*heads[:place], head, *[max(old, head + way) for old, way in zip(heads[place:], down, strict=True)]),
        (*[max(old, way + tail) for old, way in zip(tails, up, strict=False)], tail, *tails[place:]),
        (
            *[
                (*path[:place], way, *[max(old, way + rest) for old, rest in zip(path[place:], down, strict=True)])
                for path, way in zip(paths, up, strict=False)
            ],
            (*[0] * (place + 1), *down),
            *[(*path[:place], 0, *path[place:]) for path in paths[place:]],
        ),
        _Birth(block, below, above, last),
    )


def _living(state: _State, lasts: Sequence[int], step: int) -> _State:
    """The arrangement without the blocks that are dead in ``step``."""
    kept = [place for place, block in enumerate(state.row) if lasts[block] >= step]
    if len(kept) == len(state.row):
        return state
    return state._replace(
        row=tuple([state.row[i] for i in kept]),
        heads=tuple([state.heads[i] for i in kept]),
        tails=tuple([state.tails[i] for i in kept]),
        paths=tuple([tuple([state.paths[i][j] for j in kept]) for i in kept]),
    )


def _offsets(last: _Birth | None, blocks: Blocks) -> dict[int, int]:
    """The lowest offset of each block in an arrangement: its longest path from the arena's start."""
    above: dict[int, list[int]] = {}
    below: dict[int, int] = {}  # how many blocks under each have no offset yet
    while last is not None:
        block, lower, upper, last = last
        above.setdefault(block, []).extend(upper)
        below[block] = below.get(block, 0) + len(lower)
        for other in lower:
            above.setdefault(other, []).append(block)
        for other in upper:
            below[other] = below.get(other, 0) + 1
    offsets = dict.fromkeys(below, 0)
    ready = [block for block, count in below.items() if not count]
    for block in ready:
        for other in above[block]:
            offsets[other] = max(offsets[other], offsets[block] + blocks.distance(block, other))
            below[other] -= 1
            if not below[other]:
                ready.append(other)
    return offsets
