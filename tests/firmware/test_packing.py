"""The stream of filters, word by word."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware.packing import biased_stream, filter_stream, folded_bias, nibble_stream


def stream(weights: list[list[int]], lanes: int) -> list[int]:
    """Biases 100, 200, ..; requantisation of filter f is 1000 f + 1, 1000 f + 2, 1000 f + 3."""
    count = len(weights)
    bias = np.arange(1, count + 1, dtype=np.int32) * 100
    requantization = (np.arange(count)[:, None] * 1000 + np.arange(1, 4)).astype(np.int32)
    words = filter_stream(np.array(weights, np.int8), bias, requantization, lanes)
    return [int(word) for word in words]


def word(*values: int) -> int:
    """Four bytes, the lowest first."""
    return int.from_bytes(bytes(value % 256 for value in values), "little", signed=True)


def test_a_pair_shares_words() -> None:
    assert stream([[1, 2, 3, 4], [-1, -2, -3, -4]], 2) == [
        *(100, 200),
        *(word(1, -1, 3, -3), word(2, -2, 4, -4)),
        *(1, 2, 3, 1001, 1002, 1003),
    ]


def test_inputs_are_filled_up_with_zeros() -> None:
    assert stream([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], 2)[2:6] == [
        *(word(1, 6, 3, 8), word(2, 7, 4, 9)),
        *(word(5, 10, 0, 0), word(0, 0, 0, 0)),
    ]


def test_what_is_left_over_of_pairs_stands_alone() -> None:
    assert stream([[1], [2], [-3]], 2) == [
        *(100, 200, word(1, 2, 0, 0), 0, 1, 2, 3, 1001, 1002, 1003),
        *(300, word(-3, 0, 0, 0), 2001, 2002, 2003),
    ]


def test_four_share_their_inputs_and_leave_a_pair_and_one() -> None:
    weights = [[10 * f + k for k in range(1, 5)] for f in range(7)]
    assert stream(weights, 4) == [
        *(100, 200, 300, 400),
        *(word(1, 11, 3, 13), word(21, 31, 23, 33), word(2, 12, 4, 14), word(22, 32, 24, 34)),
        *(1, 2, 3, 1001, 1002, 1003, 2001, 2002, 2003, 3001, 3002, 3003),
        *(500, 600, word(41, 51, 43, 53), word(42, 52, 44, 54), 4001, 4002, 4003, 5001, 5002, 5003),
        *(700, word(61, 62, 63, 64), 6001, 6002, 6003),
    ]


@given(st.integers(1, 9), st.integers(1, 14), st.sampled_from([2, 4]), st.integers(0, 2**32 - 1))
def test_no_byte_is_lost(count: int, inputs: int, lanes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-127, 128, (count, inputs)).astype(np.int8)
    zeros = np.zeros(count, np.int32)
    words = filter_stream(weights, zeros, np.zeros((count, 3), np.int32), lanes)
    steps = -(-inputs // 4)
    assert len(words) == count * (steps + 4)
    found: NDArray[np.int8] = words.view(np.int8)
    assert np.bincount(found.view(np.uint8), minlength=256)[1:].tolist() == (
        np.bincount(weights.view(np.uint8).ravel(), minlength=256)[1:].tolist()
    )


def test_two_weights_of_4_bits_share_a_byte() -> None:
    weights = np.array([[1, -2, 3, -7, 7], [4, -5, 0, -7, 7], [6, -6, 1, 2, -3]], np.int8)
    bias = np.array([100, 200, 300], np.int32)
    requantization = (np.arange(3)[:, None] * 1000 + np.arange(1, 4)).astype(np.int32)
    assert nibble_stream(weights, bias, requantization, 2).tolist() == [
        *(200, word(16 + 12, -32 + 3, 48 + 8, -112 + 1), word(112 + 15, 8, 8, 8), 100, 1, 2, 3, 1001, 1002, 1003),
        *(300, word(6, -6, 1, 2), word(-3, 0, 0, 0), 2001, 2002, 2003),
    ]
    unsigned = nibble_stream(weights, bias, requantization, 2, unsigned=True)
    assert unsigned[11:13].tolist() == [word(134, 122, 129, 130), word(125, 128, 128, 128)]


def test_four_units_with_weights_of_4_bits() -> None:
    weights = np.array([[1], [2], [3], [4], [5], [6]], np.int8)
    bias = np.arange(1, 7, dtype=np.int32) * 100
    words = nibble_stream(weights, bias, np.zeros((6, 3), np.int32), 4).tolist()
    assert words[:6] == [200, 400, word(16 + 10, 8, 8, 8), word(48 + 12, 8, 8, 8), 100, 300]
    assert words[18:21] == [600, word(80 + 14, 8, 8, 8), 500]


def test_folded_biases_wrap() -> None:
    weights = np.array([[1, 2, 3], [-127, -127, -127]], np.int8)
    bias = np.array([10, 2**31 - 1], np.int32)
    assert folded_bias(bias, weights, 5).tolist() == [10 - 30, 2**31 - 1 + 5 * 381 - 2**32]
    assert folded_bias(bias, weights, -128).tolist() == [10 + 768, 2**31 - 1 - 128 * 381]


def test_without_the_dsp_extension_bytes_are_unsigned_and_side_by_side() -> None:
    weights = np.array([[1, 2, 3, 4, 5], [-1, -2, -3, -4, -128], [7, 8, 9, 10, 127]], np.int8)
    bias = np.array([100, 200, 300], np.int32)
    requantization = np.arange(1, 10, dtype=np.int32).reshape(3, 3)
    assert biased_stream(weights, bias, requantization, 2).tolist() == [
        *(100, 200),
        *(word(129, 127, 130, 126), word(131, 125, 132, 124), word(133, 0, 128, 128), word(128, 128, 128, 128)),
        *(1, 2, 3, 4, 5, 6),
        *(300, word(135, 136, 137, 138), word(255, 128, 128, 128), 7, 8, 9),
    ]


@given(st.integers(1, 9), st.integers(1, 14), st.sampled_from([2, 4]))
def test_both_streams_are_of_one_size(count: int, inputs: int, lanes: int) -> None:
    weights, bias = np.zeros((count, inputs), np.int8), np.zeros(count, np.int32)
    arguments = (weights, bias, np.zeros((count, 3), np.int32), lanes)
    assert len(biased_stream(*arguments)) == len(filter_stream(*arguments))
