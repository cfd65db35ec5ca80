"""Filters of convolutions and dense layers as the kernels read them: one stream of words, in the order of use.

Filters go in groups of ``lanes``, what is left over in groups of half as many, down to a single one. Of each group come
first its biases, then its weights, then multiplier, rounding and shift of every filter (``requant_s8``). So a kernel
needs a single pointer, which only ever moves on.

Weights are padded with zeros to steps of four inputs k0..k3. A word of a group holds two filters f, g and two inputs,
in bytes from the lowest: ``f[k0] g[k0] f[k2] g[k2]``. SXTB16 takes f's two weights out of it as the halves of a
register, and g's two with a rotation by 8. Of one step come the words of all pairs of filters with k0 and k2, then
those with k1 and k3. A single filter has the four bytes of a step in one word, in their natural order.

Cores without the Cortex-M's DSP extension get another stream of the same size: weights are unsigned bytes, 128 greater
than they are, for every input those of all filters of a group side by side. The kernels take 128 times the sum of the
inputs off again; 128 times that of the weights is part of the biases where inputs are 128 greater too.

Of weights of 4 bits the two filters of a pair share bytes: ``16 * first + second + 8`` for every input, the four of a
step in one word, in their natural order. Of a group of them come first the biases of the pairs' second filters, then
the weights, then the biases of their first filters and the requantisation of all, as the kernels need them. A single
filter has weights of 8 bits as above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

STEP: Final = 4
"""Inputs that one step multiplies; filters are padded to whole steps."""

EXCESS: Final = 128
"""What unsigned bytes are greater than the numbers that they stand for."""

NIBBLE_EXCESS: Final = 8
"""What the second weight of a byte is greater than the number that it stands for."""

GREATEST_NIBBLE_SUM: Final = (1 << 27) - 1
"""The greatest sum of products that kernels of weights of 4 bits get right, bias apart: 16 times it fits 32 bits."""

MATMUL_LANES: Final = 2
"""Filters in a group of ``matmul_s8.c`` and ``matmul_scalar.c``."""

DENSE_LANES: Final = 4
"""Filters in a group of ``fully_connected_s8.c`` and ``fully_connected_scalar.c``."""


def filter_stream(
    weights: NDArray[np.int8], bias: NDArray[np.int32], requantization: NDArray[np.int32], lanes: int
) -> NDArray[np.int32]:
    """Words of all filters.

    Args:
        weights: (filters, inputs).
        bias: (filters,), zero points folded in.
        requantization: (filters, 3), rows of ``requant_s8``.
        lanes: filters in a group, a power of two.
    """
    return _stream(_padded(weights).view(np.uint8), bias, requantization, lanes, _words)


def biased_stream(
    weights: NDArray[np.int8], bias: NDArray[np.int32], requantization: NDArray[np.int32], lanes: int
) -> NDArray[np.int32]:
    """The same with unsigned bytes, for cores without the DSP extension; ``bias`` as it is to be written."""
    unsigned = (_padded(weights).astype(np.int16) + EXCESS).astype(np.uint8)
    return _stream(unsigned, bias, requantization, lanes, _side_by_side)


def nibble_stream(
    weights: NDArray[np.int8],
    bias: NDArray[np.int32],
    requantization: NDArray[np.int32],
    lanes: int,
    unsigned: bool = False,
) -> NDArray[np.int32]:
    """Words of all filters with weights of 4 bits; ``unsigned`` makes the bytes of a single filter 128 greater."""
    padded = _padded(weights)
    parts: list[NDArray[np.int32]] = []
    first = 0
    while first < len(weights):
        while lanes > len(weights) - first:
            lanes //= 2
        group = slice(first, first + lanes)
        if lanes > 1:
            pairs = padded[group].reshape(lanes // 2, 2, -1, STEP).astype(np.int16)
            shared = (16 * pairs[:, 0] + pairs[:, 1] + NIBBLE_EXCESS).astype(np.int8)  # (pair, step, input)
            words = np.frombuffer(shared.transpose(1, 0, 2).tobytes(), "<i4")
            parts += [bias[group][1::2], words, bias[group][::2]]
        else:
            alone = padded[group].astype(np.int16) + EXCESS if unsigned else padded[group]
            parts += [bias[group], np.frombuffer(alone.astype(np.uint8).tobytes(), "<i4")]
        parts.append(requantization[group].ravel())
        first += lanes
    return np.concatenate(parts).astype(np.int32)


def _padded(weights: NDArray[np.int8]) -> NDArray[np.int8]:
    count, inputs = weights.shape
    padded = np.zeros((count, -(-inputs // STEP) * STEP), np.int8)
    padded[:, :inputs] = weights
    return padded


def _stream(
    weights: NDArray[np.uint8],
    bias: NDArray[np.int32],
    requantization: NDArray[np.int32],
    lanes: int,
    words: Callable[[NDArray[np.uint8]], NDArray[np.int32]],
) -> NDArray[np.int32]:
    parts: list[NDArray[np.int32]] = []
    first = 0
    while first < len(weights):
        while lanes > len(weights) - first:
            lanes //= 2
        group = slice(first, first + lanes)
        parts += [bias[group], words(weights[group]), requantization[group].ravel()]
        first += lanes
    return np.concatenate(parts).astype(np.int32)


def _words(group: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Weights (lanes, inputs) of a group in the order of use."""
    if len(group) > 1:
        # Input 4 * step + 2 * high + odd: (pair, filter of the pair, step, high, odd).
        group = group.reshape(len(group) // 2, 2, -1, 2, 2).transpose(2, 4, 0, 3, 1)
    return np.frombuffer(group.tobytes(), "<i4")


def _side_by_side(group: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Weights (lanes, inputs) of a group, those of an input side by side."""
    return np.frombuffer(group.T.tobytes(), "<i4")


def folded_bias(bias: NDArray[np.int32], weights: NDArray[np.int8], zero_point: int) -> NDArray[np.int32]:
    """Biases (filters,) for inputs that are multiplied as they are, their zero point not taken off; wraps modulo 2**32.

    ``weights`` is (filters, inputs).
    """
    folded: NDArray[np.int64] = bias - zero_point * weights.sum(axis=1, dtype=np.int64)
    return folded.astype(np.int32)
