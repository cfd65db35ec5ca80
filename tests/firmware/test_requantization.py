"""Fast requantisation: when it is chosen, and that it equals TensorFlow Lite's double rounding."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware.fixed_point import multiply_by_quantized_multiplier
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.requantization import GREATEST_FAST_SHIFT, GREATEST_FAST_SUM, Requantization, requantization_table
from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation


def model_of(scales: list[float], zero_point: int, activation: Activation, bias: int = 0, weight: int = 1) -> Int8Model:
    """A pointwise convolution of one input whose sums are ``weight`` times the input (zero point 0) plus ``bias``."""
    builder = GraphBuilder((1, 1, 1))
    builder.conv(builder.input, len(scales), activation=activation)
    graph = builder.build()
    layer = LayerWeights(
        np.full((len(scales), 1, 1, 1), weight, np.int8),
        np.array(scales, np.float32),
        np.full(len(scales), bias, np.int32),
    )
    return Int8Model(graph, {"input": Quant(1.0, 0), graph.output: Quant(1.0, zero_point)}, {graph.output: layer})


def fast(acc: NDArray[np.int64], row: NDArray[np.int32], kind: Requantization) -> NDArray[np.int64]:
    """The instructions of ``firmware/kernels/requantize.h``, every one within int32."""
    multiplier, rounding, shift = row.tolist()
    y = acc + ((acc * multiplier + (1 << 31)) >> 32)
    assert np.abs(y).max() < 1 << 31
    if kind is Requantization.SATURATING:
        y = y + (y >> 31)
    y = y + rounding
    assert y.min() >= -(1 << 31)
    assert y.max() < 1 << 31
    clipped: NDArray[np.int64] = np.clip(y >> shift, -128, 127)
    return clipped


def sums(m: int, shift: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Sums everywhere below 2**30, and around those whose results lie half-way between two outputs."""
    limit = GREATEST_FAST_SUM - 1
    halves = (2 * np.arange(-300, 300) + 1) * 2.0 ** (shift - 1) * 2.0**31 / m
    near = np.round(halves)[:, None] + np.arange(-3, 4)
    anywhere = np.concatenate([rng.integers(-limit, limit + 1, 4000), rng.integers(-2000, 2000, 2000), [-limit, limit]])
    found = np.concatenate([near.ravel().astype(np.int64), anywhere])
    return np.unique(found[np.abs(found) <= limit])


@pytest.mark.parametrize("zero_point", [-128, -1, 0, 77, 127])
@pytest.mark.parametrize("shift", [0, 1, 2, 7, 13, 21, 22])
def test_equals_two_roundings(shift: int, zero_point: int) -> None:
    rng = np.random.default_rng(shift)
    # The output's scale is 1, so the weights' scale is the factor: a float32, with room for 24 bits.
    for m in (2**30, 2**30 + 2**7, 2**31 - 2**7, *(rng.integers(2**23, 2**24, 12) * 2**7).tolist()):
        model = model_of([m * 2.0 ** -(31 + shift)], zero_point, Activation.NONE)
        table = requantization_table(model, model.graph.ops[0])
        if shift == 0 and zero_point > -128:
            assert table.kind is Requantization.GENERAL
            continue
        assert table.kind is (Requantization.RECTIFIED if zero_point == -128 else Requantization.SATURATING)
        (row,) = table.values
        assert (int(row[0]) + (1 << 32), int(row[2])) == (2 * m, shift)
        acc = sums(m, shift, rng)
        wanted = multiply_by_quantized_multiplier(acc, m, -shift).astype(np.int64) + zero_point
        np.testing.assert_array_equal(fast(acc, row, table.kind), np.clip(wanted, -128, 127))


@pytest.mark.parametrize(
    ("scales", "zero_point", "activation", "kind"),
    [
        ([0.01, 0.3], 0, Activation.NONE, Requantization.SATURATING),
        ([0.01, 0.3], -128, Activation.RELU, Requantization.RECTIFIED),
        ([0.01, 0.75], -128, Activation.RELU, Requantization.RECTIFIED),  # a shift of 0
        ([0.01, 0.75], 0, Activation.NONE, Requantization.GENERAL),
        ([0.01, 1.5], -128, Activation.RELU, Requantization.GENERAL),  # to the left
        ([0.01, 0.3], -5, Activation.RELU, Requantization.GENERAL),  # the least output is not -128
        ([0.01, 0.3], -128, Activation.RELU6, Requantization.GENERAL),  # the greatest is -122
        ([0.01, 2.0**-50], 0, Activation.NONE, Requantization.GENERAL),  # a factor of 0
        ([0.01, 0.6 * 2.0**-GREATEST_FAST_SHIFT], 0, Activation.NONE, Requantization.SATURATING),
        ([0.01, 0.3 * 2.0**-GREATEST_FAST_SHIFT], 0, Activation.NONE, Requantization.GENERAL),
    ],
)
def test_one_channel_decides_for_all(
    scales: list[float], zero_point: int, activation: Activation, kind: Requantization
) -> None:
    model = model_of(scales, zero_point, activation)
    assert requantization_table(model, model.graph.ops[0]).kind is kind


@pytest.mark.parametrize(("bias", "is_fast"), [(2**30 - 1 - 127, True), (2**30 - 127, False)])
def test_sums_of_30_bits_are_the_limit(bias: int, is_fast: bool) -> None:
    model = model_of([0.01], 0, Activation.NONE, bias)
    table = requantization_table(model, model.graph.ops[0])
    assert (table.kind is not Requantization.GENERAL) == is_fast


def test_general_rows_hold_multiplier_and_shift() -> None:
    model = model_of([3.0, 0.25], 7, Activation.RELU)
    table = requantization_table(model, model.graph.ops[0])
    assert table.kind is Requantization.GENERAL
    assert table.values.tolist() == [[3 << 29, 0, 2], [1 << 30, 0, -1]]
