"""The linear form of a sum: exact wherever one is given, given wherever scales are those of training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.int8_model import Int8Model, Quant
from firmware.integers import add_integers
from firmware.linear_add import LinearAdd, add_results, linear_add
from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation
from tests.firmware.kernels.elementwise import add_numbers, limits, zero_points


def test_a_form_by_hand() -> None:
    """0.5 x1 + 0.25 x2 + 1, rounded half up."""
    results = LinearAdd(1 << 27, 1 << 26, 3 << 19).results()
    assert results.shape == (256, 256)
    assert results[128 + 6, 128 + 1] == 4  # 3 + 0.25 + 1 + 0.5
    assert results[128 - 5, 128 - 3] == -2  # -2.5 - 0.75 + 1 + 0.5 = -1.75
    assert results[255, 255] == 96  # 63.5 + 31.75 + 1.5 = 96.75
    assert results[0, 0] == -95  # -64 - 32 + 1.5 = -94.5


def test_results_are_the_references() -> None:
    builder = GraphBuilder((1, 256, 1))
    builder.add(builder.input, builder.max_pool(builder.input, 1, 1), activation=Activation.NONE)
    graph = builder.build()
    (_, add) = graph.ops
    source = Quant(0.05, -7)
    model = Int8Model(graph, dict.fromkeys(graph.shapes, source) | {graph.output: Quant(0.07, 12)}, {})
    table = add_results(add_integers(model, add))
    # 50 steps of 0.05 twice are 5.0, which is 71.43 steps of 0.07 from the zero point.
    assert table[128 + 43, 128 + 43] == 83
    assert (table == table.T).all()
    assert (np.diff(table, axis=0) >= 0).all()


@settings(max_examples=60)
@given(st.floats(-6, 3.5), st.floats(-6, 3.5), zero_points(), limits())
def test_a_form_is_exact_or_none(
    log1: float, log2: float, zeros: tuple[int, int, int], bounds: tuple[int, int]
) -> None:
    numbers = add_numbers(2.0**log1, 2.0**log2, zeros, bounds)
    form = linear_add(numbers)
    if form is not None:
        np.testing.assert_array_equal(form.results(), add_results(numbers))
        parts = np.array([[form.factor1], [form.factor2]]) * np.array([-128, 127]) >> 8
        extremes = parts[0][:, None] + parts[1] + form.constant
        assert -(2**31) <= extremes.min() <= extremes.max() < 2**31
        assert all(abs(value) < 2**31 for value in (form.factor1, form.factor2, form.constant))


def test_scales_from_training_have_a_form() -> None:
    rng = np.random.default_rng(4)
    for _ in range(60):
        ratio1, ratio2 = rng.uniform(0.2, 2, 2)
        zero1, zero2, zero = (-128 if rng.random() < 0.5 else int(rng.integers(-40, 40)) for _ in range(3))
        assert linear_add(add_numbers(ratio1, ratio2, (zero1, zero2, zero))) is not None


@pytest.mark.parametrize("zeros", [(0, 0, 0), (-128, -128, -128), (5, -9, 20)])
@pytest.mark.parametrize(("ratio1", "ratio2"), [(1.0, 1.0), (0.5, 0.5), (0.25, 1.0), (2.0, 0.5), (0.125, 0.0625)])
def test_scales_that_are_powers_of_two_have_a_form(ratio1: float, ratio2: float, zeros: tuple[int, int, int]) -> None:
    """Half of all sums are ties there, which go away from zero."""
    assert linear_add(add_numbers(ratio1, ratio2, zeros)) is not None
