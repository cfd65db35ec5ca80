from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from firmware.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from firmware.int8_model import Quant
from firmware.quantize import weight_quant
from nas.training.fake_quant import double_rounding, quantise, quantise_mean, rescale, round_to, weight_scales


def test_values_are_those_of_the_integers() -> None:
    # scale 0.5, zero point -126: integers -128..127 stand for -1..126.5
    x = torch.tensor([-3.0, -1, -0.3, 0, 0.2, 0.3, 100.1, 126.5, 500])
    np.testing.assert_array_equal(quantise(x, Quant(0.5, -126)), [-1, -1, -0.5, 0, 0, 0.5, 100, 126.5, 126.5])


def test_relu_is_the_clamp_at_a_zero_point_of_minus_128() -> None:
    np.testing.assert_array_equal(quantise(torch.tensor([-5.0, 0.5, 300]), Quant(0.5, -128)), [0, 0.5, 127.5])


def test_gradient_passes_where_nothing_is_clamped() -> None:
    x = torch.tensor([-3.0, -0.9, 0.2, 100, 126.4, 500], requires_grad=True)
    quantise(x, Quant(0.5, -126)).backward(torch.arange(1.0, 7))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, [0, 2, 3, 4, 5, 0])


def test_means_round_half_away_from_zero_with_the_zero_point_counted() -> None:
    quant = Quant(0.25, 3)
    # Sums of four integers: 2 / 4 = 0.5 -> 1, -2 / 4 -> -1, 10 / 4 = 2.5 -> 3, 9 / 4 -> 2, -11 / 4 -> -3.
    sums = np.array([2, -2, 10, 9, -11])
    means = torch.tensor((sums / 4 - quant.zero_point) * quant.scale, dtype=torch.float32)
    integers = quantise_mean(means, quant) / quant.scale + quant.zero_point
    np.testing.assert_allclose(integers, [1, -1, 3, 2, -3])


def test_weights_have_the_scales_and_integers_of_the_integer_model() -> None:
    weight = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    scales = weight_scales(weight)
    integers, expected = weight_quant(weight.numpy(), axis=0)
    np.testing.assert_array_equal(scales.flatten(), expected)  # that of the zeros, whose bias needs one, included
    rounded = round_to(weight, scales)
    np.testing.assert_array_equal(rounded, integers * scales.numpy())
    assert int(np.abs(integers).max()) == 127


def test_scales_of_nothing_but_zeros_are_those_of_the_integer_model() -> None:
    weight = torch.zeros(2, 3)
    np.testing.assert_array_equal(weight_scales(weight).flatten(), weight_quant(weight.numpy(), axis=0)[1])


def test_gradient_of_weights_passes_unchanged() -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    round_to(weight, weight_scales(weight)).backward(torch.arange(12.0).reshape(3, 4))
    assert weight.grad is not None
    np.testing.assert_array_equal(weight.grad, np.arange(12.0).reshape(3, 4))


@given(st.integers(-(2**17), 2**17), st.floats(2**-12, 0.9))
def test_rounding_twice(accumulator: int, multiplier: float) -> None:
    multiplier = float(np.float32(multiplier))
    m, shift = quantize_multiplier(multiplier)
    expected = int(multiply_by_quantized_multiplier(np.array(accumulator, np.int32), np.int32(m), np.int32(shift)))
    exact = accumulator * multiplier
    nudged = exact + np.copysign(float(double_rounding(torch.tensor(multiplier))), exact)
    # Where the first rounding itself is a tie, the last bit of the multiplier decides.
    if abs(abs(nudged) % 1 - 0.5) > 2**-14:
        assert round(nudged) == expected


@pytest.mark.parametrize(("multiplier", "nudge"), [(0.5, 0), (0.75, 0), (0.25, 0.25), (0.003, 2**-9), (1.5, 0)])
def test_nudge_by_hand(multiplier: float, nudge: float) -> None:
    # 0.5 = 0.5 * 2^-0: no shift, so no second rounding; 0.25 = 0.5 * 2^-1; 0.003 = 0.768 * 2^-8.
    assert float(double_rounding(torch.tensor(multiplier))) == nudge


@given(st.floats(1e-4, 10), st.floats(1e-3, 1e3), st.integers(-128, 127))
def test_rescaled_are_the_same_integers(scale: float, factor: float, zero_point: int) -> None:
    source = Quant(scale, zero_point)
    target = Quant(factor * source.scale, zero_point)
    integers = torch.arange(-128, 128).float() - zero_point
    assert torch.equal(rescale(integers * source.scale, source, target), integers * target.scale)


def test_gradient_of_rescaling_is_the_factor() -> None:
    x = torch.tensor([-1.0, 0.25, 2.0]).requires_grad_()
    rescale(x, Quant(0.25, 0), Quant(1.0, 0)).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad, [4.0, 8.0, 12.0])
