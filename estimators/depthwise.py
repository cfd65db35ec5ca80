"""How the depthwise kernels lay out their channels in scratch and divide an image into bands.

A kernel copies channels out of the image, up to ``LANES`` at a time, into planes of 16-bit values, so that one
instruction multiplies two of them. A plane is made of strips: columns of 32-bit words, one below the other, each of
two pixels that two taps of a kernel row meet. ``down`` is the axis along which a strip runs, ``across`` the other one;
which of them is the image's height is chosen here, for the fewest instructions.
``firmware/kernels/depthwise_planes.h`` says the same from the kernels' side; the emitter writes these numbers into
their parameters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from estimators.kernels import Term, kernel_of
from search_spaces.geometry import Padding, window
from search_spaces.ops import Activation, DepthwiseConv2D, Op, Pair, Shape

LANES: Final = 4
"""Channels that are copied together; those that are left over go one by one."""

TILE_ROWS: Final = 4
"""Outputs below each other that ``depthwise_conv2d_s8`` sums at once; ``depthwise3_s8`` sums two by two."""

TAPS_AT_ONCE: Final = 3
"""Words of weights in one turn of ``depthwise_conv2d_s8``'s inner loop; tables are filled up with zeros."""

SCRATCH_LIMIT: Final = 2048
"""Bytes of planes that are always allowed."""

SCRATCH_SHARE: Final = 6
"""More is allowed up to this part of the input's bytes."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A window along one axis: extents, kernel, stride, dilation, padding before the first element."""

    size: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad: int


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of a depthwise layer.

    A strip's two columns lie ``pair_step`` apart. Strips come in ``groups`` of ``group_strips``, ``strip_step`` columns
    apart, and the groups ``group_step`` columns. Columns of the output begin at a strip each, ``steps`` strips after
    the column before, in turn; with ``odd`` every second one begins at its strip's second pixel.

    Rows of a strip are sorted by their remainder modulo the stride, ``strip_rows`` of each, so that outputs below each
    other read words below each other. ``band_rows`` output rows are computed at a time.
    """

    transposed: bool
    down: Axis
    across: Axis
    pairs: int
    groups: int
    group_strips: int
    group_step: int
    strip_step: int
    pair_step: int
    steps: Pair
    odd: bool
    strip_rows: int
    band_rows: int

    @property
    def strips(self) -> int:
        return self.groups * self.group_strips

    @property
    def kept_rows(self) -> int:
        """Words of each part of a strip that the next band reads again."""
        return (self.down.kernel - 1) * self.down.dilation // self.down.stride

    @property
    def table_words(self) -> int:
        """Words of ``depthwise_conv2d_s8``'s tables: an offset and a weight for each, for even and odd columns."""
        taps = self.down.kernel * self.pairs
        return 2 * -(-taps // TAPS_AT_ONCE) * TAPS_AT_ONCE * (2 if self.odd else 1)

    @property
    def plane_words(self) -> int:
        return self.strips * self.down.stride * self.strip_rows


def planes(op: DepthwiseConv2D, source: Shape) -> Planes:
    """The planes of ``op`` on an input of shape ``source``, whichever way round takes fewer instructions."""
    return _planes(op.kernel, op.stride, op.dilation, op.padding, source)


def row_planes(op: DepthwiseConv2D, source: Shape) -> Planes:
    """The planes of a single row of the output, whose strips lie along the row."""
    rows, columns = (_axis(source[i], op.kernel[i], op.stride[i], op.dilation[i], op.padding) for i in (0, 1))
    return _one_way(True, columns, replace(rows, out=1), SCRATCH_LIMIT, LANES if source[2] >= LANES else 1)


@lru_cache(maxsize=4096)
def _planes(kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, source: Shape) -> Planes:
    rows, columns = (_axis(source[i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    limit = max(SCRATCH_LIMIT, source[0] * source[1] * source[2] // SCRATCH_SHARE)
    lanes = LANES if source[2] >= LANES else 1
    upright, lying = _one_way(False, rows, columns, limit, lanes), _one_way(True, columns, rows, limit, lanes)
    return min(upright, lying, key=_instructions)


def _axis(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> Axis:
    out, pad = window(size, kernel, stride, dilation, padding)
    return Axis(size, out, kernel, stride, dilation if kernel > 1 else 1, pad)


def _one_way(transposed: bool, down: Axis, across: Axis, limit: int, lanes: int) -> Planes:
    odd = across.dilation == 1 and across.stride == 1
    pairs = across.kernel // 2 + 1 if odd else -(-across.kernel // 2)
    if across.dilation == 1 and across.stride <= 2:
        # Neighbouring outputs share strips: pixels 0 and 1, 2 and 3 and so on.
        strips = ((across.out - 1) // 2 if odd else across.out - 1) + pairs
        groups, group_strips, group_step, strip_step, steps = 1, strips, 0, 2, (0, 1) if odd else (1, 1)
    else:
        groups, group_strips, group_step, strip_step = across.out, pairs, across.stride, 2 * across.dilation
        steps = (pairs, pairs)
    kept = (down.kernel - 1) * down.dilation // down.stride  # as Planes.kept_rows
    row_bytes = 4 * groups * group_strips * down.stride * lanes
    most = max(limit // row_bytes - kept, TILE_ROWS)
    # Bands of equal height, in whole tiles, rather than a small one at the end.
    bands = -(-down.out // most)
    band = -(-down.out // bands)
    if bands > 1:
        band = min(-(-band // TILE_ROWS) * TILE_ROWS, max(most // TILE_ROWS * TILE_ROWS, TILE_ROWS))
    return Planes(
        transposed=transposed,
        down=down,
        across=across,
        pairs=pairs,
        groups=groups,
        group_strips=group_strips,
        group_step=group_step,
        strip_step=strip_step,
        pair_step=across.dilation,
        steps=steps,
        odd=odd,
        strip_rows=max(band, TILE_ROWS) + kept,
        band_rows=band,
    )


def _instructions(layout: Planes) -> int:
    """About how many instructions a channel takes; enough to tell which way round is cheaper."""
    down, across = layout.down, layout.across
    tiles = -(-down.out // TILE_ROWS) * across.out
    taps = down.kernel * layout.pairs
    copied = layout.strips * (down.out - 1) * down.stride + layout.strips * down.kernel
    return tiles * (36 + 8 * taps) + across.out * 20 + copied * 5


def scratch(op: Op, source: Shape, by_rows: bool = False) -> int:
    """Scratch of ``depthwise_conv2d_s8`` in bytes, for all of its output or a row at a time."""
    assert isinstance(op, DepthwiseConv2D)
    layout = row_planes(op, source) if by_rows else planes(op, source)
    return 4 * layout.table_words + plane_bytes(op, source, by_rows)


def plane_bytes(op: Op, source: Shape, by_rows: bool = False) -> int:
    """Scratch of ``depthwise3_s8`` in bytes, which needs no tables."""
    assert isinstance(op, DepthwiseConv2D)
    layout = row_planes(op, source) if by_rows else planes(op, source)
    return 4 * layout.plane_words * (LANES if source[2] >= LANES else 1)


def runs_in_place(op: Op, shapes: Sequence[Shape], out: Shape) -> bool:
    """Whether a depthwise kernel may write its output exactly over the input.

    It reads all of a band's rows of a channel before it writes them, and keeps those that the next band needs as well.
    """
    return isinstance(op, DepthwiseConv2D) and op.multiplier == 1 and op.stride == (1, 1) and shapes[0] == out


def counts(op: DepthwiseConv2D, source: Shape, out: Shape, by_rows: bool = False) -> dict[Term, int]:
    """Terms of the cycles of all three depthwise kernels; ``estimators.cycles`` says what they mean.

    With ``by_rows`` those of a call for each row, all taken for rows whose windows meet no border above or below.
    """
    # Without an activation a negative result has to be rounded like a positive one, which takes an instruction more.
    signed = 1 if op.activation is Activation.NONE else 0
    if op.kernel == op.stride == (1, 1):
        calls = out[0] if by_rows else 1
        outputs = out[0] * out[1] * out[2]
        return {"outputs": outputs, "signed_outputs": signed * outputs, "channels": calls * out[2], "calls": calls}
    in_squares = kernel_of(op) == "depthwise3_s8"
    if by_rows:
        layout = row_planes(op, source)
        inside = replace(layout, across=replace(layout.across, pad=0))
        one = _counts(inside, source[2], op.multiplier, in_squares)
        found = {term: count * out[0] for term, count in one.items()}
    else:
        found = _counts(planes(op, source), source[2], op.multiplier, in_squares)
    return {**found, "signed_tiles": signed * found["tiles"]}


@lru_cache(maxsize=4096)
def _counts(layout: Planes, inputs: int, multiplier: int, in_squares: bool) -> dict[Term, int]:
    down, across = layout.down, layout.across
    bands = [min(layout.band_rows, down.out - row) for row in range(0, down.out, layout.band_rows)]
    groups, alone = divmod(inputs, LANES)
    channels = inputs * multiplier * len(bands)
    by_fours = sum([-(-rows // TILE_ROWS) for rows in bands])
    if in_squares:
        by_twos = sum([-(-rows // 2) for rows in bands])
        columns, odd = divmod(across.out, 2)
        tiles = columns * by_twos + odd * by_fours
        runs = min(columns, 1) + odd
        pairs, singles = columns * down.out, odd * down.out
    else:
        columns, runs, tiles, pairs, singles = across.out, 1, across.out * by_fours, 0, 0
    tiles *= inputs * multiplier
    parts, inside = layout.strips * down.stride, _strips_inside(layout)
    # All words of all planes are padded in the beginning.
    fills, fill_runs = (count * (LANES if groups else 1) for count in (layout.plane_words, parts))
    strips = copies = word_runs = lone_words = lone_runs = 0
    for above, copied, below in _words(layout, bands):
        together = groups if copied > 1 else 0
        one_by_one = alone if copied > 1 else alone + LANES * groups
        strips += layout.strips * (groups + alone) * (copied > 0)
        word_runs += inside * together
        copies += inside * together * -(-copied // 2)
        lone_runs += inside * one_by_one * (copied > 0)
        lone_words += inside * one_by_one * copied
        if len(bands) > 1:
            fills += (above + below) * layout.strips * inputs
            fill_runs += ((above > 0) + (below > 0)) * layout.strips * inputs
    moved_runs = parts * inputs * (len(bands) - 1)
    kernel_rows = down.kernel * (2 if layout.odd else 1)
    return {
        "tiles": tiles,
        "taps": tiles * layout.table_words // (4 if layout.odd else 2),
        "pairs": pairs * inputs * multiplier,
        "singles": singles * inputs * multiplier,
        "columns": columns * channels,
        "runs": runs * channels,
        "channels": channels,
        "weights": channels * kernel_rows * layout.pairs,
        "rows": channels * kernel_rows,
        "groups": (groups + alone) * len(bands),
        "copies": copies,
        "word_runs": word_runs,
        "lone_words": lone_words,
        "lone_runs": lone_runs,
        "strips": strips,
        "fills": fills,
        "fill_runs": fill_runs,
        "moved": moved_runs * layout.kept_rows,
        "moved_runs": moved_runs,
        "offsets": kernel_rows * layout.pairs,
        "calls": 1,
    }


def _strips_inside(layout: Planes) -> int:
    """Strips with a column of the image; the others are nothing but padding."""
    inside = range(layout.across.size)
    first = [
        group * layout.group_step + strip * layout.strip_step - layout.across.pad
        for group in range(layout.groups)
        for strip in range(layout.group_strips)
    ]
    return sum([column in inside or column + layout.pair_step in inside for column in first])


def _words(layout: Planes, bands: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """For each band and part of a strip, its new words: above the image, inside, below."""
    down, top = layout.down, 0
    for rows in bands:
        begin, end = layout.kept_rows if top else 0, rows + layout.kept_rows
        for part in range(down.stride):
            low, high = (-(-(row + down.pad - part) // down.stride) - top for row in (0, down.size))
            low = min(max(low, begin), end)
            high = min(max(high, low), end)
            yield low - begin, high - low, end - high
        top += rows
