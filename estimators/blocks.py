"""What is packed into an arena: blocks with lifetimes, and which of them may share bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

ALIGNMENT: Final = 4
"""Offsets are multiples of this many bytes, so that kernels may load words."""


class Block(NamedTuple):
    """``size`` bytes needed from step ``first`` to step ``last``, both included."""

    size: int
    first: int
    last: int


class Overlap(NamedTuple):
    """The block ``output`` may share bytes with the block ``source`` if it starts at least ``lag`` bytes below it.

    The source is last needed in the step where the output is first, and ``lag`` is at most the output's size. A block
    is the output of one overlap and the source of one at most, not both in the same step.
    """

    output: int
    source: int
    lag: int


def aligned(size: int) -> int:
    """``size`` rounded up to a multiple of ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks by columns, sizes and lags rounded up to ALIGNMENT.

    ``above`` names for an output the source that it may overlap and the lag, ``below`` for a source the output.
    """

    sizes: tuple[int, ...]
    firsts: tuple[int, ...]
    lasts: tuple[int, ...]
    above: dict[int, tuple[int, int]]
    below: dict[int, tuple[int, int]]

    @classmethod
    def of(cls, blocks: Sequence[Block], overlaps: Sequence[Overlap]) -> Blocks:
        return cls(
            tuple([-(-block[0] // ALIGNMENT) * ALIGNMENT for block in blocks]),
            tuple([block[1] for block in blocks]),
            tuple([block[2] for block in blocks]),
            {output: (source, aligned(lag)) for output, source, lag in overlaps},
            {source: (output, aligned(lag)) for output, source, lag in overlaps},
        )

    def distance(self, low: int, high: int) -> int:
        """How far above the start of ``low`` the block ``high`` must start when it lies above it."""
        source, lag = self.above.get(low, (-1, 0))
        return lag if source == high else self.sizes[low]
