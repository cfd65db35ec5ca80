"""Sums in C on this machine, under the sanitisers, against all pairs of bytes worked out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.c_elementwise import add_run
from firmware.integers import AddIntegers
from firmware.linear_add import add_results
from search_spaces.ops import Shape
from tests.firmware.kernels.elementwise import (
    ElementwiseDriver,
    Int8,
    add_numbers,
    limits,
    operands,
    packed,
    resized,
    shape_members,
    zero_points,
)

VALUES = np.arange(-128, 128, dtype=np.int8)
FIRST, SECOND = np.repeat(VALUES, 256), np.tile(VALUES, 256)


def expected(numbers: AddIntegers, first: Int8, second: Int8) -> Int8:
    results = add_results(numbers).astype(np.int8)
    return results[first.astype(np.intp) + 128, second.astype(np.intp) + 128]


@pytest.mark.parametrize(
    ("numbers", "linear"),
    [
        (add_numbers(0.7, 0.45, (-128, 3, -128)), True),
        (add_numbers(0.61803, 1.3, (11, -128, -5)), True),
        (add_numbers(2.9, 0.017, (-128, -128, -128)), True),
        (add_numbers(7.31387, 6.12913, (-100, 127, 9)), True),
        (add_numbers(1.0, 1.0, (0, 0, 0)), True),
        (add_numbers(0.5, 0.5, (1, -7, 12)), True),  # every odd sum is a tie
        (add_numbers(0.25, 0.5, (-128, 0, 127)), True),
        (add_numbers(1e-4, 0.9, (0, 0, 0)), True),
        # Scales of 1, 1/2 and 3 in float32: ties that the inputs' own rounding breaks.
        (add_numbers(0.33333332505491076, 0.16666666252745538, (-128, -19, -128)), False),
        (add_numbers(9.0, 1.0, (0, 0, 0)), False),  # too much for the factors
        (add_numbers(300.0, 200.0, (0, 0, 0)), False),
        (add_numbers(1e-5, 2e-5, (-128, 127, 4)), True),  # multipliers of 0
        (add_numbers(1e-11, 0.9, (-128, 127, 4)), True),
        (add_numbers(0.7, 0.45, (0, 3, 0), (0, 127)), False),
        (add_numbers(0.7, 0.45, (0, 3, -128), (-128, 90)), False),
    ],
)
def test_all_pairs(elementwise: ElementwiseDriver, numbers: AddIntegers, linear: bool) -> None:
    run = add_run(numbers)
    assert run["kind"] == linear
    wanted = expected(numbers, FIRST, SECOND)
    got = elementwise.run("add_run_s8", packed(run), FIRST, FIRST.shape, SECOND)
    np.testing.assert_array_equal(got, wanted)
    if linear:  # the general form knows them as well
        got = elementwise.run("add_run_s8", packed({**run, "kind": 0}), FIRST, FIRST.shape, SECOND)
        np.testing.assert_array_equal(got, wanted)


def test_by_hand(elementwise: ElementwiseDriver) -> None:
    # Steps of 0.5, 1 and 2: (5 + 2) / 2 rounded away from zero, after zero points of 1 and 2.
    numbers = add_numbers(0.25, 0.5, (1, 2, 10))
    first, second = np.array([11, -9, 127], np.int8), np.array([4, 0, 127], np.int8)
    # 2.5 + 1 = 3.5, -2.5 - 1 = -3.5, 31.5 + 62.5 = 94
    assert elementwise.run("add_run_s8", packed(add_run(numbers)), first, (3,), second).tolist() == [14, 6, 104]


@settings(max_examples=60)
@given(
    operands(),
    st.floats(-4, 1.5),
    st.floats(-4, 1.5),
    zero_points(),
    limits(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_operands_of_all_shapes(
    elementwise: ElementwiseDriver,
    shapes: tuple[Shape, Shape, Shape],
    log1: float,
    log2: float,
    zeros: tuple[int, int, int],
    bounds: tuple[int, int],
    general: bool,
    seed: int,
) -> None:
    out, shape1, shape2 = shapes
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(-128, 128, shape).astype(np.int8) for shape in (shape1, shape2))
    numbers = add_numbers(2.0**log1, 2.0**log2, zeros, bounds)
    run = add_run(numbers) | ({"kind": 0} if general else {})
    walk = {"output": shape_members(out), "input1": shape_members(shape1), "input2": shape_members(shape2)}
    params = packed({"shapes": walk, "run": run})
    wanted = expected(numbers, resized(first, out), resized(second, out))
    for lag in (-1, 0) if shape1 == out else (-1,):
        np.testing.assert_array_equal(elementwise.run("add_s8", params, first, out, second, lag), wanted)


def test_a_sum_with_itself_in_place(elementwise: ElementwiseDriver) -> None:
    numbers = add_numbers(0.8, 0.8, (3, 3, -128))
    got = elementwise.run("add_run_s8", packed(add_run(numbers)), VALUES, VALUES.shape, VALUES, 0)
    np.testing.assert_array_equal(got, expected(numbers, VALUES, VALUES))
