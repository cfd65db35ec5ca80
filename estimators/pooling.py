"""What the pooling kernels' loops run over, counted as the terms of ``estimators.cycles``.

At each position a window's taps inside the image are two nested loops (``taps_inside`` in
``firmware/kernels/kernels.h``) that are gone through once for every group of four channels, two inner taps at a time,
and once for every channel that is left over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from estimators.kernels import Term
from search_spaces.geometry import Padding, window
from search_spaces.ops import AvgPool, MaxPool, Shape

CHANNELS: Final = 4
"""That the kernels compute together."""

MOST_IN_HALVES: Final = 256
"""Taps whose sum 16 bits hold: an average over more is taken in parts."""


def counts(op: MaxPool | AvgPool, shape: Shape, out: Shape) -> Mapping[Term, int]:
    """Terms of a pooling step on an input of ``shape``."""
    groups, lone = divmod(out[2], CHANNELS)
    rows = _inside(shape[0], op.kernel[0], op.stride[0], op.padding)
    columns = _inside(shape[1], op.kernel[1], op.stride[1], op.padding)
    total: Counter[Term] = Counter()
    for (height, times_down), (width, times_across) in ((row, column) for row in rows for column in columns):
        positions = times_down * times_across
        outer, inner = _loops(height, width, shape[1])
        parts = _parts(outer, inner) if isinstance(op, AvgPool) else 1
        total.update(
            {
                "pairs": positions * groups * outer * (inner // 2),
                "singles": positions * groups * outer * (inner % 2),
                "turns": positions * groups * outer,
                "short_turns": positions * groups * outer * (inner == 1),
                "groups": positions * groups * parts,
                "lone_taps": positions * lone * outer * inner,
                "lone_turns": positions * lone * outer,
                "columns": positions * (height > width and width < shape[1]),
            }
        )
    pixels = out[0] * out[1]
    return {
        **total,
        "outputs": pixels * out[2],
        "lone_outputs": pixels * lone,
        "word_runs": pixels if groups else 0,
        "lone_runs": pixels if lone else 0,
        "pixels": pixels,
        "rows": out[0],
        "calls": 1,
    }


@lru_cache(maxsize=4096)
def _inside(size: int, kernel: int, stride: int, padding: Padding) -> tuple[tuple[int, int], ...]:
    """Along one axis, how many taps lie inside the image, and at how many positions of the window so many do."""
    out, before = window(size, kernel, stride, 1, padding)
    origins = [position * stride - before for position in range(out)]
    return tuple(Counter([min(origin + kernel, size) - max(origin, 0) for origin in origins]).items())


def _loops(rows: int, columns: int, width: int) -> tuple[int, int]:
    """Turns of the outer and the inner loop over ``rows`` times ``columns`` taps in an image ``width`` columns wide."""
    if columns == width:
        return 1, rows * columns
    return min(rows, columns), max(rows, columns)


def _parts(outer: int, inner: int) -> int:
    """Sums in 16 bits that so many taps are made of."""
    inner_at_once = min(inner, MOST_IN_HALVES)
    return -(-outer // (MOST_IN_HALVES // inner_at_once)) * -(-inner // inner_at_once)
