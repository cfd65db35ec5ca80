"""Products in C on this machine, under the sanitisers, against the reference's arithmetic in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.c_elementwise import mul_run
from firmware.fixed_point import multiply_by_quantized_multiplier
from firmware.integers import MulIntegers
from search_spaces.ops import Shape
from tests.firmware.kernels.elementwise import (
    ElementwiseDriver,
    Int8,
    limits,
    mul_numbers,
    operands,
    packed,
    resized,
    shape_members,
    zero_points,
)

VALUES = np.arange(-128, 128, dtype=np.int8)


def expected(numbers: MulIntegers, first: Int8, second: Int8) -> Int8:
    product = (first.astype(np.int32) + numbers.input1_offset) * (second.astype(np.int32) + numbers.input2_offset)
    y = multiply_by_quantized_multiplier(product, numbers.multiplier, numbers.shift).astype(np.int64)
    result: Int8 = np.clip(y + numbers.output_offset, numbers.act_min, numbers.act_max).astype(np.int8)
    return result


def params(numbers: MulIntegers, out: Shape, first: Shape, second: Shape) -> bytes:
    walk = {"output": shape_members(out), "input1": shape_members(first), "input2": shape_members(second)}
    return packed({"shapes": walk, "run": mul_run(numbers)})


@pytest.mark.parametrize(
    ("numbers", "fast"),
    [
        (mul_numbers(0.0061, (-128, -128, -128)), True),
        (mul_numbers(0.0061, (3, -128, -20)), True),
        (mul_numbers(1 / 128, (0, 0, 0)), True),  # ties
        (mul_numbers(1 / 2, (-7, 5, 127)), False),  # a multiplier of one half is no shift to the right
        (mul_numbers(1 / 4, (-7, 5, 127)), True),
        (mul_numbers(1e-6, (-128, 127, 0)), True),
        (mul_numbers(1e-9, (-128, 127, 0)), False),
        (mul_numbers(0.0, (0, 0, 4)), False),
        (mul_numbers(3.3, (0, 0, 0)), False),
        (mul_numbers(0.0061, (0, 0, 0), (0, 127)), False),
    ],
)
def test_all_pairs(elementwise: ElementwiseDriver, numbers: MulIntegers, fast: bool) -> None:
    assert mul_run(numbers)["fast"] == fast
    first, second = np.repeat(VALUES, 256), np.tile(VALUES, 256)
    shape = (1, 1, len(first))
    got = elementwise.run("mul_s8", params(numbers, shape, shape, shape), first, first.shape, second)
    np.testing.assert_array_equal(got, expected(numbers, first, second))


def test_by_hand(elementwise: ElementwiseDriver) -> None:
    numbers = mul_numbers(0.25, (0, 1, 10))
    first, second, shape = np.array([3, -3, 127], np.int8), np.array([3, 3, -128], np.int8), (1, 1, 3)
    # 3 * 2 / 4 = 1.5 and -1.5 go away from zero, 127 * -129 / 4 is far too low.
    got = elementwise.run("mul_s8", params(numbers, shape, shape, shape), first, (3,), second)
    assert got.tolist() == [12, 8, -128]


@settings(max_examples=60)
@given(operands(), st.floats(-12, 2), zero_points(), limits(), st.integers(0, 2**32 - 1))
def test_operands_of_all_shapes(
    elementwise: ElementwiseDriver,
    shapes: tuple[Shape, Shape, Shape],
    log: float,
    zeros: tuple[int, int, int],
    bounds: tuple[int, int],
    seed: int,
) -> None:
    out, shape1, shape2 = shapes
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(-128, 128, shape).astype(np.int8) for shape in (shape1, shape2))
    numbers = mul_numbers(2.0**log, zeros, bounds)
    wanted = expected(numbers, resized(first, out), resized(second, out))
    for lag in (-1, 0) if shape1 == out else (-1,):
        got = elementwise.run("mul_s8", params(numbers, out, shape1, shape2), first, out, second, lag)
        np.testing.assert_array_equal(got, wanted)
