from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from firmware.fixed_point import INT32_MAX
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.reference import IMAGES, run, run_all
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.geometry import Padding
from search_spaces.ops import Activation, Softmax
from search_spaces.published import network
from tests.firmware import oracle
from tests.strategies import ALL_OPS, models, random_input, random_int8_model

SHARP = Quant(1.0, 0)  # integers stand for themselves


def _layer(weights: NDArray[np.int8], bias: list[int], scale: float = 1.0) -> LayerWeights:
    return LayerWeights(weights, np.full(len(bias), scale, np.float32), np.array(bias, np.int32))


def _images(*images: object) -> NDArray[np.int8]:
    return np.array(images, np.int8)


@settings(max_examples=60)
@given(models(ops=[op for op in ALL_OPS if op is not Softmax], max_extent=7, max_channels=6))
def test_equals_element_by_element(model: Int8Model) -> None:
    x = random_input(model, 5, np.random.default_rng(1))[[0, 1, 4]]
    tensors = run_all(model, x)
    for index, image in enumerate(x):
        for name, expected in oracle.run_slowly(model, image).items():
            np.testing.assert_array_equal(tensors[name][index], expected, err_msg=name)


@given(models(max_ops=3, max_extent=5))
def test_blocks_do_not_matter(model: Int8Model) -> None:
    """The same images in one call and one by one; more of them than fit into a block, none at all."""
    x = random_input(model, IMAGES + 3, np.random.default_rng(2))
    together = run(model, x)
    assert together.shape == (len(x), *model.graph.output_shape)
    assert together.dtype == np.int8
    for index in (0, 2, IMAGES - 1, IMAGES, IMAGES + 2):
        np.testing.assert_array_equal(run(model, x[index : index + 1])[0], together[index])
    assert run(model, x[:0]).shape == (0, *model.graph.output_shape)


@given(models(max_ops=4))
def test_run_all_holds_every_tensor(model: Int8Model) -> None:
    x = random_input(model, 2, np.random.default_rng(3))
    tensors = run_all(model, x)
    assert set(tensors) == set(model.graph.shapes)
    for name, shape in model.graph.shapes.items():
        assert tensors[name].shape == (2, *shape)
    np.testing.assert_array_equal(tensors[model.graph.output], run(model, x))
    np.testing.assert_array_equal(tensors[model.graph.input], x)


def test_conv_by_hand() -> None:
    builder = GraphBuilder((3, 3, 1))
    out = builder.conv(builder.input, 1, 2, activation=Activation.NONE)  # SAME: one row and column behind
    weights = np.array([[[[1], [2]], [[3], [4]]]], np.int8)
    model = Int8Model(builder.build(), {builder.input: Quant(1.0, 1), out: Quant(2.0, 5)}, {out: _layer(weights, [10])})
    x = _images([[[1], [2], [3]], [[4], [5], [6]], [[7], [8], [9]]])
    # (x - 1) . w + 10, halved, + 5; padding counts as 0
    assert run_all(model, x)[out][0, :, :, 0].tolist() == [[24, 29, 19], [39, 44, 25], [20, 22, 14]]


def test_depthwise_by_hand() -> None:
    builder = GraphBuilder((1, 3, 2))
    out = builder.depthwise(builder.input, (1, 2), 1, multiplier=2, padding=Padding.VALID, activation=Activation.RELU)
    weights = np.array([[[1, -1, 2, 0], [1, -1, 0, 3]]], np.int8)
    layer = LayerWeights(weights, np.array([1, 1, 0.5, 1], np.float32), np.array([0, 0, 1, -100], np.int32))
    model = Int8Model(builder.build(), {builder.input: SHARP, out: Quant(1.0, -128)}, {out: layer})
    x = _images([[[1, 10], [2, 20], [3, 30]]])
    # sums 3 -3 21 -40 | 5 -5 41 -10, halves away from zero, ReLU at -128
    assert run(model, x)[0, 0].tolist() == [[-125, -128, -117, -128], [-123, -128, -107, -128]]


def test_dense_by_hand() -> None:
    builder = GraphBuilder((1, 2, 2))
    out = builder.dense(builder.input, 2)
    model = Int8Model(
        builder.build(),
        {builder.input: Quant(1.0, -1), out: Quant(4.0, 0)},
        {out: _layer(np.array([[1, 2, 3, 4], [0, 0, 0, -127]], np.int8), [0, 1])},
    )
    # 2 + 6 + 12 + 20 = 40, 1 - 127 * 5 = -634 -> -158.5 -> -128
    assert run(model, _images([[[1, 2], [3, 4]]]))[0, 0, 0].tolist() == [10, -128]


def test_average_rounds_half_away_and_counts_inside() -> None:
    builder = GraphBuilder((2, 2, 2))
    out = builder.avg_pool(builder.input, 2, 1)
    model = Int8Model(builder.build(), {builder.input: SHARP, out: SHARP}, {})
    x = _images([[[1, -1], [2, -2]], [[3, -3], [4, -4]]])
    # of four 2.5, of two 3 and 3.5, of one 4
    assert run(model, x)[0, ..., 0].tolist() == [[3, 3], [4, 4]]
    assert run(model, x)[0, ..., 1].tolist() == [[-3, -3], [-4, -4]]


def test_max_pool_never_sees_padding() -> None:
    builder = GraphBuilder((2, 3, 1))
    out = builder.max_pool(builder.input, 3, 2)
    model = Int8Model(builder.build(), {builder.input: SHARP, out: SHARP}, {})
    x = _images([[[-128], [-128], [-120]], [[-127], [-128], [-128]]])
    assert run(model, x)[0, ..., 0].tolist() == [[-127, -120]]


def test_upsampling_reads_floor_of_the_quotient() -> None:
    builder = GraphBuilder((3, 2, 1))
    out = builder.upsample(builder.input, (5, 3))
    model = Int8Model(builder.build(), {builder.input: SHARP, out: SHARP}, {})
    x = _images([[[0], [1]], [[10], [11]], [[20], [21]]])
    assert run(model, x)[0, ..., 0].tolist() == [[r, r, r + 1] for r in (0, 0, 10, 10, 20)]


def test_upsampling_is_exact_where_float32_is_not() -> None:
    """41 * (2 / 82) is less than 1 in float32."""
    builder = GraphBuilder((2, 1, 1))
    out = builder.upsample(builder.input, (82, 1))
    model = Int8Model(builder.build(), {builder.input: SHARP, out: SHARP}, {})
    assert run(model, _images([[[0]], [[1]]]))[0, :, 0, 0].tolist() == [0] * 41 + [1] * 41


def test_add_and_mul_by_hand() -> None:
    builder = GraphBuilder((1, 2, 2))
    pooled = builder.avg_pool(builder.input, (1, 2), 1, Padding.VALID)
    total = builder.add(builder.input, pooled)
    out = builder.mul(total, pooled, Activation.RELU6)
    quant = {builder.input: Quant(0.5, 2), pooled: Quant(0.5, 2), total: Quant(1.0, 0), out: Quant(2.0, -3)}
    model = Int8Model(builder.build(), quant, {})
    tensors = run_all(model, _images([[[2, 4], [6, 10]]]))
    assert tensors[pooled][0, 0].tolist() == [[4, 7]]
    # real: [[0, 1], [2, 4]] + [[1, 2.5]]; 3.5 and 6.5 round away from zero
    assert tensors[total][0, 0].tolist() == [[1, 4], [3, 7]]
    # [[1, 10], [3, 17.5]] / 2 = [[0.5, 5], [1.5, 8.75]], at most 3 steps above the zero point
    assert tensors[out][0, 0].tolist() == [[-2, 0], [-1, 0]]


def test_a_scaled_operand_counts_more() -> None:
    builder = GraphBuilder((1, 2, 1))
    scaled = builder.scale(builder.input)
    out = builder.add(scaled, builder.input)
    quant = {builder.input: Quant(0.5, 2), scaled: Quant(1.5, 2), out: Quant(1.0, 0)}
    tensors = run_all(Int8Model(builder.build(), quant, {}), _images([[[4], [-7]]]))
    assert tensors[scaled][0, 0, :, 0].tolist() == [4, -7]
    assert tensors[out][0, 0, :, 0].tolist() == [4, -18]  # 2 * 1.5 + 2 * 0.5, -9 * 1.5 - 9 * 0.5


def test_large_tensors_take_the_table() -> None:
    """The table of all pairs gives what single elements give."""
    builder = GraphBuilder((32, 33, 1))
    x = builder.add(builder.input, builder.avg_pool(builder.input, (32, 1), 1, Padding.VALID))
    builder.mul(x, builder.input)
    model = random_int8_model(builder.build(), np.random.default_rng(7))
    images = random_input(model, IMAGES, np.random.default_rng(8))  # 67,584 elements
    together = run(model, images)
    for index in (0, 5, 63):
        np.testing.assert_array_equal(run(model, images[index : index + 1])[0], together[index])


def test_sums_beyond_float32_stay_exact() -> None:
    """127 * 127 * 2000 and one more: beyond 2**24, where float32 knows no odd numbers."""
    builder = GraphBuilder((40, 50, 1))
    out = builder.dense(builder.input, 1)
    weights = np.full((1, 2000), 127, np.int8)
    weights[0, -1] = 1
    model = Int8Model(builder.build(), {builder.input: SHARP, out: Quant(1.0, 0)}, {out: _layer(weights, [0])})
    x = np.full((1, 40, 50, 1), 127, np.int8)
    total = 127 * 127 * 1999 + 127
    for wanted in (-3, 0, 1, 2):
        layer = _layer(weights, [wanted - total])
        shifted = Int8Model(model.graph, model.quant, {out: layer})
        assert run(shifted, x).item() == wanted


def test_sums_wrap_like_int32() -> None:
    builder = GraphBuilder((1, 1, 1))
    out = builder.conv(builder.input, 2, activation=Activation.NONE)
    layer = _layer(np.array([[[[1]]], [[[1]]]], np.int8), [INT32_MAX, INT32_MAX - 7], scale=2.0**-24)
    model = Int8Model(builder.build(), {builder.input: SHARP, out: SHARP}, {out: layer})
    assert run(model, _images([[[7]]]))[0, 0, 0].tolist() == [-128, 127]
    for image in ([[7]], [[0]], [[-1]], [[127]]):
        x = _images([image])[0]
        np.testing.assert_array_equal(run(model, x[None])[0], oracle.run_slowly(model, x)[out])


def test_refuses_other_images() -> None:
    model = random_int8_model(network("mlperf-ic-resnet8"), np.random.default_rng(0))
    for bad in (np.zeros((1, 32, 32, 3), np.uint8), np.zeros((32, 32, 3), np.int8), np.zeros((1, 32, 32, 1), np.int8)):
        with pytest.raises(NasError, match=r"int8 \(N, 32, 32, 3\) expected"):
            run(model, bad)


@pytest.mark.slow
def test_speed() -> None:
    """150 images of a network of 10 million MACs in a second on one core; five times that is usual."""
    model = random_int8_model(network("cifar-lite"), np.random.default_rng(0))
    x = random_input(model, 256, np.random.default_rng(0))
    start = time.perf_counter()
    run(model, x)
    assert len(x) / (time.perf_counter() - start) > 150
