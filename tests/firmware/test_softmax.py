from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.int8_model import Int8Model, Quant
from firmware.integers import softmax_integers
from firmware.softmax import exp_on_negative_values, softmax
from search_spaces.builder import GraphBuilder


def _softmax(x: list[list[int]], scale: float) -> list[list[int]]:
    builder = GraphBuilder((1, 1, len(x[0])))
    out = builder.softmax(builder.input)
    model = Int8Model(builder.build(), {builder.input: Quant(scale, 0), out: Quant(1 / 256, -128)}, {})
    result: list[list[int]] = softmax(
        np.array(x, np.int8), softmax_integers(model, model.graph.ops[0]), axis=1
    ).tolist()
    return result


def test_exp_is_close_everywhere() -> None:
    a = -np.unique(np.concatenate([np.arange(1000), np.geomspace(1000, 31 * 2**26, 2000).astype(np.int64)]))
    exact = np.exp(a / 2.0**26) * 2**31
    assert np.abs(exp_on_negative_values(a) - exact).max() < 600  # of 2**31: gemmlowp takes four terms


def test_exp_of_zero_is_one() -> None:
    assert exp_on_negative_values(np.array([0])).tolist() == [2**31 - 1]


@pytest.mark.parametrize(
    ("row", "scale", "expected"),
    [
        ([7], 0.1, [127]),  # 256 saturates
        ([5, 5], 0.1, [0, 0]),
        ([-128, -128, -128, -128], 1.0, [-64] * 4),
        ([10, 0], math.log(3) / 10, [64, -64]),  # 3/4 and 1/4
        ([127, -128], 1.0, [127, -128]),  # below the least difference that counts
        ([0, 0, 0], 0.5, [-43, -43, -43]),  # 85.33
    ],
)
def test_by_hand(row: list[int], scale: float, expected: list[int]) -> None:
    assert _softmax([row], scale) == [expected]


@given(
    st.lists(st.lists(st.integers(-128, 127), min_size=5, max_size=5), min_size=1, max_size=8),
    st.floats(1e-4, 2.0),
)
def test_close_to_the_real_one(rows: list[list[int]], scale: float) -> None:
    real = np.exp((np.array(rows) - np.max(rows, axis=1, keepdims=True)) * float(np.float32(scale)))
    exact = np.minimum(256 * real / real.sum(axis=1, keepdims=True) - 128, 127)
    assert np.abs(np.array(_softmax(rows, scale)) - exact).max() <= 0.51


def test_most_channels() -> None:
    assert _softmax([[3] * 511], 0.1) == [[-127] * 511]  # 256 / 511 = 0.501 rounds up
