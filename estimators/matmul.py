"""Counts of what convolutions over all channels and dense layers do: the loops of ``matmul_s8.c`` and its callers.

Four output positions make a tile. Each is multiplied with two filters at a time, and with one that may be left over;
inputs go in steps of four, half-steps in rounds of eight. Before that its positions' inputs are expanded: all four at
once where they lie inside of the image in one row of outputs, else one by one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from estimators.kernels import Term
from search_spaces.geometry import Padding, window
from search_spaces.ops import Activation, Conv2D, FullyConnected, Op, Pair, Shape

PIXELS: Final = 4
"""Output positions of a tile."""

STEP: Final = 4
"""Inputs in a step."""

HALF_STEPS: Final = 8
"""Half-steps in a round of the inner loop."""

CHUNK: Final = 256
"""Inputs that cores without the Cortex-M's DSP extension multiply before they take sums apart."""

ROUND_STEPS: Final = 4
"""Steps in a round of the inner loop of weights of 4 bits."""

UNITS: Final = 4
"""Units of a dense layer that share its inputs."""


class Walk(NamedTuple):
    """How a convolution meets its image, four positions after the other, summed over the image.

    ``rows`` and ``padded_rows`` are kernel rows inside of the image and outside, of tiles that are expanded at once.
    The other positions, ``pixels``, are expanded one by one: from the image (``lone_runs``, one for each kernel row),
    or from a copy. Of those some are copied row by row (``copied_runs``), some are cut by the left or right border or
    have their taps apart (``cut_runs``, of taps that lie side by side); ``fill_runs`` of both are nothing but padding.
    Copied are ``words`` of four values, and ``values`` one by one of runs of less; ``fills`` taps are padding.
    """

    rows: int
    padded_rows: int
    pixels: int
    lone_runs: int
    copied_runs: int
    cut_runs: int
    fill_runs: int
    words: int
    values: int
    fills: int


def pointwise(op: Op, source: Shape, out: Shape) -> dict[Term, int]:
    """Terms of ``pointwise_s8``."""
    tiles = -(-out[0] * out[1] // PIXELS)
    whole, rest = divmod(source[2], STEP)
    return {
        **_products(op, source[2], out, tiles),
        "words": tiles * whole,
        "word_runs": tiles * (whole > 0),
        "lone_words": tiles * PIXELS * (rest > 0),
    }


def pointwise_s4(op: Op, source: Shape, out: Shape) -> dict[Term, int]:
    """Terms of ``pointwise_s4``: rounds are of four steps; the positions' inputs are added up before any filter."""
    tiles = -(-out[0] * out[1] // PIXELS)
    pairs, steps = out[2] // 2, -(-source[2] // STEP)
    rounds = -(-steps // ROUND_STEPS)
    return {**pointwise(op, source, out), "runs": tiles * pairs * rounds, "taps": tiles * steps * (pairs > 0)}


def conv2d(op: Op, source: Shape, out: Shape, by_rows: bool = False) -> dict[Term, int]:
    """Terms of ``conv2d_s8``, called once or for each row of its output."""
    assert isinstance(op, Conv2D)
    height, width, channels = source
    run = op.kernel[1] * channels
    inputs = op.kernel[0] * run
    walk = _walk((height, width), op.kernel, op.stride, op.dilation, op.padding, channels, by_rows)
    tiles = out[0] * -(-out[1] // PIXELS) if by_rows else -(-out[0] * out[1] // PIXELS)
    return {
        **_products(op, inputs, out, tiles),
        "rows": walk.rows,
        "words": walk.rows * (run // STEP),
        "padded_words": walk.padded_rows * (run // STEP),
        "pixels": walk.pixels,
        "lone_words": walk.pixels * -(-inputs // STEP),
        "lone_runs": walk.lone_runs,
        "word_runs": walk.copied_runs,
        "cut_runs": walk.cut_runs,
        "fill_runs": walk.fill_runs,
        "copies": walk.words,
        "taps": walk.values,
        "fills": walk.fills * channels,
        "calls": out[0] if by_rows else 1,
    }


def fully_connected(op: Op, source: Shape, out: Shape) -> dict[Term, int]:
    """Terms of ``fully_connected_s8``."""
    assert isinstance(op, FullyConnected)
    whole, rest = divmod(source[0] * source[1] * source[2], STEP)
    groups, left = divmod(op.units, UNITS)
    pairs, alone = divmod(left, 2)
    return {
        "macs": groups * UNITS * whole * STEP,
        "pairs": pairs * 2 * whole * STEP,
        "lone_macs": alone * whole * STEP,
        "word_runs": (groups + pairs + alone) * (whole > 0),
        "taps": op.units * rest,
        "turns": (groups + pairs + alone) * rest,
        "groups": groups + pairs + alone,
        "outputs": op.units,
        "inputs": source[0] * source[1] * source[2],
        "calls": 1,
    }


def fully_connected_s4(op: Op, source: Shape, out: Shape) -> dict[Term, int]:
    """Terms of ``fully_connected_s4``: the inputs are added up before any unit, two words at once."""
    words, rest = divmod(source[0] * source[1] * source[2], 2 * STEP)
    counts = fully_connected(op, source, out)
    return {**counts, "words": words, "lone_taps": rest, "word_runs": counts["groups"] * (2 * words + rest // STEP > 0)}


def _products(op: Op, inputs: int, out: Shape, tiles: int) -> dict[Term, int]:
    """What ``matmul_s8.c`` does for all tiles."""
    pairs, alone = divmod(out[2], 2)
    steps = -(-inputs // STEP)
    rectified = getattr(op, "activation", Activation.NONE) is not Activation.NONE
    return {
        "macs": tiles * pairs * steps * 2 * PIXELS * STEP,
        "runs": tiles * pairs * -(-(2 * steps - 1) // HALF_STEPS),
        "chunks": tiles * pairs * (-(-steps * STEP // CHUNK) if steps * STEP > CHUNK else 0),
        "groups": tiles * pairs,
        "signed_outputs": 0 if rectified else tiles * pairs * 2 * PIXELS,
        "lone_macs": tiles * alone * steps * PIXELS * STEP,
        "lone_outputs": tiles * alone * PIXELS,
        "tiles": tiles,
        "calls": 1,
    }


@lru_cache(maxsize=4096)
def _walk(
    size: Pair, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, channels: int, by_rows: bool
) -> Walk:
    height, width = (_Axis.of(size[i], kernel[i], stride[i], dilation[i], padding) for i in (0, 1))
    columns, whole_words = len(width.inside), kernel[1] * channels % STEP == 0
    rows = padded_rows = pixels = lone_runs = copied_runs = cut_runs = fill_runs = words = values = fills = 0
    positions = len(height.inside) * columns
    together = max(1, columns if by_rows else positions)
    for first in [start for run in range(0, positions, together) for start in range(run, run + together, PIXELS)]:
        last = min(first + PIXELS, (first // together + 1) * together) - 1
        y, x = divmod(first, columns)
        if whole_words and last // columns == y and not any(width.is_cut[x : x + last - first + 1]):
            rows += height.inside[y]
            padded_rows += kernel[0] - height.inside[y]
            continue
        pixels += PIXELS
        for position in range(first, first + PIXELS):
            y, x = divmod(min(position, last), columns)
            down, across = height.inside[y], width.inside[x]
            if whole_words and not width.is_cut[x]:
                lone_runs += kernel[0]
                continue
            if dilation[1] > 1:
                runs, all_runs, taps = down * across, kernel[0] * kernel[1], 1
            else:
                runs, all_runs, taps = down * min(across, 1), kernel[0], across
            if width.is_cut[x]:
                cut_runs += runs
            else:
                copied_runs += runs
            fill_runs += all_runs - runs
            if taps * channels >= STEP:
                words += runs * -(-taps * channels // STEP)
            else:
                values += runs * taps * channels
            fills += kernel[0] * kernel[1] - down * across
    return Walk(rows, padded_rows, pixels, lone_runs, copied_runs, cut_runs, fill_runs, words, values, fills)


class _Axis(NamedTuple):
    """Along one axis, for every output position: taps inside of the image; whether some are not, or lie apart."""

    inside: list[int]
    is_cut: list[bool]

    @staticmethod
    def of(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> _Axis:
        out, before = window(size, kernel, stride, dilation, padding)
        origins = [position * stride - before for position in range(out)]
        inside = [sum(0 <= origin + tap * dilation < size for tap in range(kernel)) for origin in origins]
        return _Axis(inside, [dilation > 1 or count < kernel for count in inside])
