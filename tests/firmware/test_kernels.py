"""The C kernels on this machine: against the numpy reference, against results by hand, and under the sanitisers."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from math import floor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import firmware
from estimators import load_target, lower
from firmware import reference
from firmware.emit import export
from firmware.host import HostModel
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.toolchain import HOST_CFLAGS, find_host_compiler, run_tool
from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import Activation
from tests.firmware.lively import lively_model
from tests.strategies import models, random_input

KERNELS = Path(firmware.__file__).parent / "kernels"
TENSOR = re.compile(r"#define (TENSOR_\d+) .*? /\* ([^,]*), (\d+)x(\d+)x(\d+), ")


@contextmanager
def exported(model: Int8Model) -> Iterator[Path]:
    with TemporaryDirectory() as scratch:
        yield export(model, "stm32l4r9", Path(scratch) / "c")


def apart(folder: Path, storage: str) -> dict[str, str]:
    """Gives every tensor that a step writes an array of its own and of its exact size; the array of each."""
    source = folder / "model.c"
    text = source.read_text()
    arrays = {name: found[1] for found in TENSOR.finditer(text) for name in found[2].split(" = ")}
    text = TENSOR.sub(
        lambda found: f"{storage} int8_t {found[1]}[{found[3]} * {found[4]} * {found[5]}]; /* {found[2]}, ", text
    )
    if "arena + " not in text:  # no scratch either
        text = text.replace("static int32_t arena[MODEL_ARENA_BYTES / 4];", "")
    source.write_text(text)
    return arrays


def with_bytes(model: Int8Model) -> set[str]:
    """Tensors that are written: all but those that a fused upsampling would write."""
    return set(lower(model.graph, load_target("stm32l4r9")).placements)


def run_c(model: Int8Model, x: NDArray[np.int8]) -> NDArray[np.int8]:
    with exported(model) as folder, HostModel(folder) as host:
        return host.run(x)


def int8(values: list[int], *shape: int) -> NDArray[np.int8]:
    return np.array(values, np.int8).reshape(shape)


# --- against the reference -------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(models())
def test_random_networks_equal_the_reference(model: Int8Model) -> None:
    x = random_input(model, 6, np.random.default_rng(0))
    with exported(model) as folder:
        compare_every_tensor(model, folder, x, reference.run_all(model, x))


def compare_every_tensor(
    model: Int8Model, folder: Path, x: NDArray[np.int8], expected: Mapping[str, NDArray[np.int8]]
) -> None:
    """Errors inside a network often vanish before its output: every tensor gets an array that is read afterwards.

    Nothing works in place then; the arena is compared by the tests below and in test_three_ways.
    """
    arrays = apart(folder, '__attribute__((visibility("default")))')
    assert set(arrays) == with_bytes(model)
    with HostModel(folder) as host:
        for index in range(len(x)):
            host.run(x[index : index + 1])
            for name, symbol in arrays.items():
                shape = model.graph.shapes[name]
                array = (ctypes.c_int8 * int(np.prod(shape))).in_dll(host.loaded, symbol)
                got = np.ctypeslib.as_array(array).reshape(shape)
                np.testing.assert_array_equal(got, expected[name][index], err_msg=name)


def test_dilated_windows_with_many_taps_inside_equal_the_reference() -> None:
    builder = GraphBuilder((13, 14, 3))
    x = builder.conv("input", 5, 3, dilation=2)
    x = builder.depthwise(x, 3, dilation=(1, 3), multiplier=2)
    x = builder.conv(x, 6, (2, 3), dilation=(3, 2), padding=Padding.VALID)
    x = builder.depthwise(x, (3, 2), stride=2, dilation=(2, 3))
    builder.conv(x, 3, 3, stride=(1, 2), dilation=(1, 2))
    model, images, expected = lively_model(builder.build(), values=20)
    with exported(model) as folder:
        compare_every_tensor(model, folder, images, expected)


@pytest.mark.parametrize("kernel", [(1, 1), (4, 1), (1, 3), (4, 3)])
def test_operands_repeat_along_every_axis(kernel: tuple[int, int]) -> None:
    builder = GraphBuilder((4, 3, 2))
    pooled = builder.max_pool("input", kernel, kernel)
    single = builder.conv(pooled, 1, activation=Activation.NONE)
    x = builder.mul(pooled, builder.add("input", pooled))
    builder.mul(builder.add(single, x), single)
    model, images, expected = lively_model(builder.build(), images=24)
    with exported(model) as folder:
        compare_every_tensor(model, folder, images, expected)


@pytest.mark.parametrize("factor", [(2, 2), (3, 2), (4, 3), (1, 4), (9, 7)])
def test_operands_are_upsampled_on_the_way(factor: tuple[int, int]) -> None:
    """Either operand and both, scaled or not, at sizes that no factor divides."""
    builder = GraphBuilder((9, 7, 5))
    small = builder.avg_pool("input", factor, factor)
    embedded = builder.conv(small, 5, activation=Activation.NONE)
    x = builder.mul("input", builder.upsample(builder.sigmoid(embedded), (9, 7)))
    x = builder.add(builder.scale(x), "input")
    x = builder.add(builder.scale(builder.upsample(embedded, (9, 7))), x)
    y = builder.mul(builder.upsample(small, (13, 9)), builder.upsample(builder.conv(x, 1), (13, 9)))
    builder.add(y, builder.upsample(builder.max_pool(y, (13, 1), (13, 1)), (1, 9)))
    model, images, expected = lively_model(builder.build(), images=6)
    assert len(expected) - len(with_bytes(model)) == 6
    with exported(model) as folder:
        compare_every_tensor(model, folder, images, expected)


def test_a_wide_layer_equals_the_reference() -> None:
    """Sums far larger than those of the random networks."""
    rng = np.random.default_rng(5)
    builder = GraphBuilder((12, 12, 96))
    graph = builder_graph(builder, builder.dense(builder.conv(builder.input, 64, 3), 10))
    shapes = {"conv0": (64, 3, 3, 96), "dense1": (10, 12 * 12 * 64)}
    layers = {
        name: LayerWeights(
            rng.integers(-127, 128, shape).astype(np.int8),
            rng.uniform(1e-4, 4e-4, shape[0]).astype(np.float32),
            rng.integers(-50_000, 50_000, shape[0]).astype(np.int32),
        )
        for name, shape in shapes.items()
    }
    quant = {"input": Quant(0.02, 3), "conv0": Quant(0.05, -128), "dense1": Quant(0.04, 9)}
    model = Int8Model(graph, quant, layers)
    x = random_input(model, 6, rng)
    expected = reference.run(model, x)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(run_c(model, x), expected)


# --- by hand ---------------------------------------------------------------------------------------------------------


def builder_graph(builder: GraphBuilder, output: str) -> Graph:
    graph = builder.build()
    assert graph.output == output
    return graph


def unweighted(graph: Graph) -> Int8Model:
    return Int8Model(graph, dict.fromkeys(graph.shapes, Quant(0.1, 0)), {})


def filtered(graph: Graph, weights: NDArray[np.int8], scale: float, bias: int = 0, zero_point: int = 0) -> Int8Model:
    """One layer between tensors of scale 1; the sum is multiplied by ``scale``."""
    channels = graph.output_shape[2]
    layer = LayerWeights(weights, np.full(channels, scale, np.float32), np.full(channels, bias, np.int32))
    return Int8Model(graph, {"input": Quant(1.0, zero_point), graph.output: Quant(1.0, 0)}, {graph.output: layer})


def ones_3x3(padding: Padding = Padding.SAME, activation: Activation = Activation.NONE) -> Graph:
    builder = GraphBuilder((3, 3, 1))
    return builder_graph(builder, builder.conv("input", 1, 3, padding=padding, activation=activation))


ONES = np.ones((1, 3, 3, 1), np.int8)
COUNT = int8([1, 2, 3, 4, 5, 6, 7, 8, 9], 1, 3, 3, 1)


@pytest.mark.parametrize(
    ("scale", "sign", "expected"),
    [
        (0.5, 1, 23),  # 22.5, ties up in the multiplication
        (0.5, -1, -22),
        (0.25, 1, 12),  # 11.25, but 22.5 becomes 23 first and then 11.5 becomes 12
        (0.25, -1, -11),  # -22.5 becomes -22, then -11
        (2.0, 1, 90),
        (4.0, 1, 127),
        (4.0, -1, -128),
    ],
)
def test_convolution_rounds_twice(scale: float, sign: int, expected: int) -> None:
    model = filtered(ones_3x3(Padding.VALID), ONES, scale)
    assert run_c(model, (COUNT * sign).astype(np.int8)).item() == expected


def test_convolution_leaves_out_what_lies_outside() -> None:
    # With zero point 1 every element counts one less. Padding read as bytes of 0 would count -1 in a corner five times.
    model = filtered(ones_3x3(), ONES, 1.0, bias=2, zero_point=1)
    assert run_c(model, COUNT).ravel().tolist() == [10, 17, 14, 23, 38, 29, 22, 35, 26]


def test_activation_clamps_at_the_zero_point() -> None:
    model = filtered(ones_3x3(Padding.VALID, Activation.RELU6), ONES, 1.0)
    assert run_c(model, COUNT).item() == 6
    assert run_c(model, (-COUNT).astype(np.int8)).item() == 0


def test_dilation_wider_than_the_image_leaves_one_tap() -> None:
    builder = GraphBuilder((1, 1, 1))
    graph = builder_graph(builder, builder.conv("input", 1, 3, dilation=4, activation=Activation.NONE))
    weights = np.arange(1, 10, dtype=np.int8).reshape(1, 3, 3, 1)
    assert run_c(filtered(graph, weights, 1.0), int8([7], 1, 1, 1, 1)).item() == 35  # the middle weight is 5


def test_depthwise_outputs_of_a_channel_lie_side_by_side() -> None:
    builder = GraphBuilder((1, 1, 2))
    graph = builder_graph(builder, builder.depthwise("input", 1, multiplier=3, activation=Activation.NONE))
    weights = int8([1, 2, 3, 4, 5, 6], 1, 1, 6)
    assert run_c(filtered(graph, weights, 1.0), int8([10, -1], 1, 1, 1, 2)).ravel().tolist() == [10, 20, 30, -4, -5, -6]


@pytest.mark.parametrize(("pair", "mean"), [((1, 2), 2), ((0, 1), 1), ((-1, -2), -2), ((0, -1), -1), ((-3, 2), -1)])
def test_average_rounds_halves_away_from_zero(pair: tuple[int, int], mean: int) -> None:
    builder = GraphBuilder((1, 2, 1))
    graph = builder_graph(builder, builder.avg_pool("input", (1, 2), (1, 2), Padding.VALID))
    assert run_c(unweighted(graph), int8([*pair], 1, 1, 2, 1)).item() == mean


def test_pools_count_elements_inside_alone() -> None:
    builder = GraphBuilder((2, 2, 1))
    average = builder_graph(builder, builder.avg_pool("input", 3, 1))
    assert run_c(unweighted(average), int8([10, 20, 30, 40], 1, 2, 2, 1)).ravel().tolist() == [25] * 4
    builder = GraphBuilder((2, 2, 1))
    greatest = builder_graph(builder, builder.max_pool("input", 3, 1))
    assert run_c(unweighted(greatest), int8([-128] * 4, 1, 2, 2, 1)).ravel().tolist() == [-128] * 4


def test_upsampling_reads_the_element_before() -> None:
    builder = GraphBuilder((2, 3, 1))
    graph = builder_graph(builder, builder.upsample("input", (3, 5)))
    rows = run_c(unweighted(graph), int8([1, 2, 3, 4, 5, 6], 1, 2, 3, 1))[0, :, :, 0].tolist()
    assert rows == [[1, 1, 2, 2, 3], [1, 1, 2, 2, 3], [4, 4, 5, 5, 6]]


def test_a_sum_reads_its_upsampled_operands_element_before() -> None:
    builder = GraphBuilder((2, 3, 1))
    graph = builder_graph(builder, builder.add(*(builder.upsample("input", (3, 5)) for _ in "ab")))
    model = Int8Model(graph, dict.fromkeys(graph.shapes, Quant(0.5, 0)) | {graph.output: Quant(1.0, 0)}, {})
    rows = run_c(model, int8([1, 2, 3, 4, 5, 6], 1, 2, 3, 1))[0, :, :, 0].tolist()
    assert rows == [[1, 1, 2, 2, 3], [1, 1, 2, 2, 3], [4, 4, 5, 5, 6]]


@pytest.mark.parametrize("channels", [2, 10, 511])
def test_softmax_is_within_one_step_of_the_real_one(channels: int) -> None:
    builder = GraphBuilder((3, 4, channels))
    graph = builder_graph(builder, builder.softmax("input"))
    model = Int8Model(graph, {"input": Quant(0.07, 5), graph.output: Quant(1 / 256, -128)}, {})
    x = np.random.default_rng(1).integers(-128, 128, (20_000 // channels, 3, 4, channels)).astype(np.int8)
    power = np.exp(0.07 * (x.astype(np.float64) - x.max(axis=-1, keepdims=True)))
    real = power / power.sum(axis=-1, keepdims=True)
    got = run_c(model, x)
    assert np.abs(np.clip(real * 256 - 128, -128, 127) - got).max() <= 1
    np.testing.assert_array_equal(got, reference.run(model, x))


# --- fixed point -----------------------------------------------------------------------------------------------------

SCALE_SOURCE = """
#include "fixed_point.h"

void scale(const int32_t *x, const int32_t *m, const int32_t *s, int32_t *out, int32_t count);

void scale(const int32_t *x, const int32_t *m, const int32_t *s, int32_t *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = multiply_by_quantized_multiplier(x[i], m[i], s[i]);
    }
}
"""


def scaled(x: int, m: int, shift: int) -> int:
    """Rational arithmetic: half up after the multiplication, half away from zero after the shift to the right."""
    shifted = (x << max(shift, 0)) + 2**31
    wrapped = shifted % 2**32 - 2**31
    high = floor(Fraction(wrapped * m, 2**31) + Fraction(1, 2))
    quotient = abs(Fraction(high, 2 ** max(-shift, 0)))
    return floor(quotient + Fraction(1, 2)) * (1 if high >= 0 else -1)


def test_scaling_equals_rational_arithmetic(tmp_path: Path) -> None:
    compiler = find_host_compiler()
    (tmp_path / "scale.c").write_text(SCALE_SOURCE)
    flags = [*HOST_CFLAGS[compiler.kind], "-shared", "-I", KERNELS]
    run_tool([*compiler.cc, *map(str, flags), "-o", "scale.so", "scale.c"], cwd=tmp_path)

    rng = np.random.default_rng(2)
    edges = np.array([-(2**31), -(2**31) + 1, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30, 2**31 - 1])
    near = rng.integers(-1000, 1000, 4000)
    anywhere = rng.integers(-(2**31), 2**31, 8000)
    x = np.concatenate([np.repeat(edges, 63), near, anywhere]).astype(np.int32)
    m = rng.integers(2**30, 2**31, len(x)).astype(np.int32)
    m[::7] = 2**30  # where halves are common
    m[::31] = 0
    shift = np.concatenate([np.tile(np.arange(-31, 32), len(edges)), rng.integers(-31, 31, 12000)]).astype(np.int32)
    out = np.empty_like(x)
    library = ctypes.CDLL(str(tmp_path / "scale.so"))
    library.scale(*(ctypes.c_void_p(array.ctypes.data) for array in (x, m, shift, out)), len(x))
    expected = [scaled(*row) for row in zip(x.tolist(), m.tolist(), shift.tolist(), strict=True)]
    assert out.tolist() == expected


# --- sanitisers ------------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(models())
def test_kernels_stay_inside_their_tensors(model: Int8Model) -> None:
    x = random_input(model, 4, np.random.default_rng(0))
    with exported(model) as folder:
        # AddressSanitizer guards the ends of each.
        assert set(apart(folder, "static")) == with_bytes(model)
        with HostModel(folder, sanitize=True) as host:
            np.testing.assert_array_equal(host.run(x), reference.run(model, x))


@settings(max_examples=5)
@given(models())
def test_arena_is_never_left(model: Int8Model) -> None:
    x = random_input(model, 4, np.random.default_rng(0))
    with exported(model) as folder, HostModel(folder, sanitize=True) as host:
        np.testing.assert_array_equal(host.run(x), reference.run(model, x))
