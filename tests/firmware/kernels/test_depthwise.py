"""Depthwise convolutions, against the numpy reference: on this machine under the sanitisers, and on the Cortex-M4."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import firmware
from estimators import kernel_of, load_target, lower
from estimators.depthwise import planes, runs_in_place
from estimators.kernels import Kernel, sources_of
from estimators.scratch import scratch_bytes
from firmware import c_depthwise, reference
from firmware.c_text import Value
from firmware.emit import export
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.requantization import Requantization, requantization_table
from firmware.toolchain import (
    HOST_CFLAGS,
    WARNINGS,
    Compiler,
    Kind,
    find_arm_compiler,
    find_host_compiler,
    run_tool,
)
from firmware.virtual import build_firmware, run_elf
from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import Activation, DepthwiseConv2D, Shape
from tests.firmware.kernels.layers import NARROW

KERNELS: tuple[Kernel, ...] = ("depthwise_conv2d_s8", "depthwise3_s8", "channelwise_s8")
"""In the order of the driver's enumeration."""

SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FOLDER = Path(firmware.__file__).parent / "kernels"


class Driver:
    """``depthwise_driver.c`` as a process that runs layer after layer; for cores with or without the DSP extension."""

    def __init__(self, folder: Path, dsp: bool = True) -> None:
        compiler = find_host_compiler()
        files = sorted({file for kernel in KERNELS for file in sources_of(kernel, dsp)})
        flags = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", *SANITIZERS, *NARROW[dsp], "-I", str(FOLDER)]
        source = Path(__file__).parent / "depthwise_driver.c"
        run_tool([*compiler.cc, *flags, "-o", folder / "driver", source, *(FOLDER / file for file in files)])
        self.process = subprocess.Popen(
            [folder / "driver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, model: Int8Model, image: NDArray[np.int8], in_place: bool = False) -> NDArray[np.int8]:
        """Output of a model of one layer; raises AssertionError with what the sanitisers say."""
        (op,) = model.graph.ops
        assert isinstance(op, DepthwiseConv2D)
        kernel, shape = kernel_of(op), model.graph.output_shape
        params = np.array(integers(c_depthwise.values(model, op)), np.int32)
        blocks = [array.tobytes() for array in (params, image, *c_depthwise.tables(model, op))]
        sizes = [*map(len, blocks), scratch_bytes(kernel, op, model.graph.input_shape), int(np.prod(shape))]
        job = struct.pack("<10i", KERNELS.index(kernel), *sizes, in_place, c_depthwise.origin(model, op))
        stdin, stdout, stderr = self.process.stdin, self.process.stdout, self.process.stderr
        assert stdin is not None
        assert stdout is not None
        assert stderr is not None
        try:
            stdin.write(job + b"".join(blocks))
            stdin.flush()
            answer = stdout.read(sizes[-1])
        except BrokenPipeError:
            answer = b""
        assert len(answer) == sizes[-1], stderr.read().decode(errors="replace")
        return np.frombuffer(answer, np.int8).reshape(shape)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    program = Driver(tmp_path_factory.mktemp("depthwise"))
    yield program
    program.process.communicate()


def integers(values: Mapping[str, Value]) -> list[int]:
    """A structure's members in their order."""
    return [number for value in values.values() for number in ([value] if isinstance(value, int) else integers(value))]


def layer_model(op: DepthwiseConv2D, source: Shape, zero_points: tuple[int, int], numbers: str, seed: int) -> Int8Model:
    """Random integers for one layer between tensors of scale 1.

    ``numbers`` is how its sums become int8: spread over all of it; factors that are powers of two, so that sums lie
    half-way; far beyond; by factors from 2**-40 to 8, channel by channel; or sums beyond 2**30.
    """
    graph = Graph(source, (op,))
    rng, channels = np.random.default_rng(seed), graph.output_shape[2]
    spread = 40 / (np.sqrt(op.kernel[0] * op.kernel[1]) * 74 * 73)
    scales = {
        "spread": rng.uniform(0.5, 1.5, channels) * spread,
        "ties": 2.0 ** rng.integers(-9, -4, channels),
        "saturated": rng.uniform(20, 200, channels) * spread,
        "mixed": 2.0 ** rng.uniform(-40, 3, channels),
        "wide": 2.0 ** rng.uniform(-31, -20, channels),
    }[numbers]
    weights = rng.integers(-127, 128, (*op.kernel, channels)).astype(np.int8)
    weights[..., rng.random(channels) < 0.1] = -127
    bias = rng.integers(-20_000, 20_000, channels) + (1 << 30 if numbers == "wide" else 0)
    layer = LayerWeights(weights, scales.astype(np.float32), bias.astype(np.int32))
    quant = {"input": Quant(1.0, zero_points[0]), graph.output: Quant(1.0, zero_points[1])}
    return Int8Model(graph, quant, {graph.output: layer})


@st.composite
def layers(draw: st.DrawFn) -> Int8Model:
    """A depthwise layer of any geometry, kernels larger than the image and strides larger than kernels included."""
    extent, pair = st.integers(1, 14), st.tuples(st.integers(1, 3), st.integers(1, 3))
    source = (draw(extent), draw(extent), draw(st.integers(1, 9)))
    kernel = draw(st.one_of(st.sampled_from([(1, 1), (3, 3)]), st.tuples(st.integers(1, 7), st.integers(1, 7))))
    dilation = draw(st.one_of(st.just((1, 1)), pair))
    fits = all((k - 1) * d < size for k, d, size in zip(kernel, dilation, source[:2], strict=True))
    op = DepthwiseConv2D(
        inputs=("input",),
        output="output",
        kernel=kernel,
        stride=draw(st.one_of(st.just((1, 1)), pair)),
        dilation=dilation,
        padding=draw(st.sampled_from(Padding)) if fits else Padding.SAME,
        multiplier=draw(st.sampled_from([1, 1, 2, 3])),
        activation=draw(st.sampled_from(Activation)),
    )
    ends = st.sampled_from([-128, 127, 0, -3, 40])
    numbers = draw(st.sampled_from(["spread", "spread", "ties", "saturated", "mixed", "wide"]))
    return layer_model(op, source, (draw(ends), draw(ends)), numbers, draw(st.integers(0, 2**32 - 1)))


def images(model: Int8Model) -> NDArray[np.int8]:
    """Noise over the whole range, and its ends alone."""
    rng, shape = np.random.default_rng(0), model.graph.input_shape
    noise = rng.integers(-128, 128, shape).astype(np.int8)
    return np.stack([noise, rng.choice(np.array([-128, 127], np.int8), shape)])


@settings(max_examples=200)
@given(layers())
def test_any_layer_equals_the_reference(driver: Driver, model: Int8Model) -> None:
    """In place as well, wherever that is allowed."""
    (op,) = model.graph.ops
    x = images(model)
    for image, expected in zip(x, reference.run(model, x), strict=True):
        np.testing.assert_array_equal(driver.run(model, image), expected)
        if runs_in_place(op, [model.graph.input_shape], model.graph.output_shape):
            np.testing.assert_array_equal(driver.run(model, image, in_place=True), expected)


@pytest.mark.parametrize(
    ("source", "kernel", "stride", "dilation"),
    [
        ((60, 17, 5), (3, 3), (1, 1), (1, 1)),
        ((17, 60, 6), (3, 3), (1, 1), (1, 1)),
        ((40, 33, 4), (5, 3), (1, 1), (1, 1)),
        ((33, 40, 5), (3, 5), (1, 1), (4, 2)),
        ((61, 30, 5), (3, 3), (2, 2), (1, 1)),
        ((61, 30, 4), (7, 7), (3, 1), (1, 2)),
    ],
)
def test_images_of_several_bands(
    driver: Driver,
    source: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    op = DepthwiseConv2D(inputs=("input",), output="output", kernel=kernel, stride=stride, dilation=dilation)
    layout = planes(op, source)
    assert layout.band_rows < layout.down.out
    model = layer_model(op, source, (-128, 3), "spread", 1)
    x = images(model)[:1]
    (expected,) = reference.run(model, x)
    np.testing.assert_array_equal(driver.run(model, x[0]), expected)
    if stride == (1, 1):
        np.testing.assert_array_equal(driver.run(model, x[0], in_place=True), expected)


def test_dead_weights_and_full_sums_wrap_alike(driver: Driver) -> None:
    """All weights and pixels at their ends, the zero point at the other."""
    op = DepthwiseConv2D(inputs=("input",), output="output", kernel=(7, 7))
    for zero_point, value in ((-128, 127), (127, -128)):
        model = layer_model(op, (9, 8, 4), (zero_point, 0), "wide", 2)
        layer = model.layers[model.graph.output]
        full = LayerWeights(np.full_like(layer.weights, 127), layer.weight_scales, layer.bias)
        model = Int8Model(model.graph, model.quant, {model.graph.output: full})
        x = np.full((1, 9, 8, 4), value, np.int8)
        np.testing.assert_array_equal(driver.run(model, x[0]), reference.run(model, x)[0])


# --- on the Cortex-M4 ------------------------------------------------------------------------------------------------

NONE, RELU = Activation.NONE, Activation.RELU


def every_kind_of_layer() -> Graph:
    """All three kernels: extents of every remainder, bands, in place and not, several outputs of a channel."""
    builder = GraphBuilder((26, 21, 7))
    x = builder.depthwise("input", 3, activation=RELU)
    x = builder.depthwise(x, 3, activation=NONE)
    x = builder.depthwise(x, 5, activation=NONE)
    x = builder.depthwise(x, 1, activation=NONE)
    x = builder.depthwise(x, (7, 2), activation=RELU)
    x = builder.depthwise(x, 3, 2, activation=RELU)
    x = builder.depthwise(x, 3, dilation=2, activation=NONE)
    x = builder.depthwise(x, 3, padding=Padding.VALID, activation=RELU)
    x = builder.depthwise(x, 3, multiplier=2, activation=NONE)
    x = builder.depthwise(x, (3, 1), dilation=(1, 3), activation=RELU)
    x = builder.depthwise(x, (5, 2), (1, 3), dilation=(1, 2), activation=NONE)
    x = builder.depthwise(x, 1, multiplier=2, activation=RELU)
    for stride in ((1, 1), (2, 1), (2, 2), (2, 2), (2, 1)):
        x = builder.max_pool(x, 2, stride)
        x = builder.depthwise(x, 3, activation=RELU if stride == (2, 2) else NONE)
    builder.depthwise(x, 1, 2, activation=NONE)
    return builder.build()


def spread_model(graph: Graph, seed: int, zero_point: int = -128) -> Int8Model:
    """Every layer spreads its sums over int8; ``zero_point`` is that of outputs with an activation."""
    rng = np.random.default_rng(seed)
    quant, layers = {graph.input: Quant(1.0, 3)}, dict[str, LayerWeights]()
    for op in graph.ops:
        if not isinstance(op, DepthwiseConv2D):
            quant[op.output] = quant[op.inputs[0]]
            continue
        channels = graph.shapes[op.output][2]
        scales = rng.uniform(50, 90, channels) / (np.sqrt(op.kernel[0] * op.kernel[1]) * 74 * 73)
        weights = rng.integers(-127, 128, (*op.kernel, channels)).astype(np.int8)
        bias = rng.integers(-3000, 3000, channels).astype(np.int32)
        layers[op.output] = LayerWeights(weights, scales.astype(np.float32), bias)
        quant[op.output] = Quant(1.0, zero_point if op.activation is RELU else 5)
    return Int8Model(graph, quant, layers)


@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_fast_requantisation_on_the_core(kind: Kind, arm_gcc: Compiler, tmp_path: Path) -> None:
    model = spread_model(every_kind_of_layer(), 3)
    ops = [op for op in model.graph.ops if isinstance(op, DepthwiseConv2D)]
    kinds = {requantization_table(model, op).kind for op in ops}
    assert kinds == {Requantization.SATURATING, Requantization.RECTIFIED}
    assert {kernel_of(op) for op in ops} == set(KERNELS)
    equal_on_the_core(model, kind, tmp_path)


def equal_on_the_core(model: Int8Model, kind: Kind, folder: Path) -> None:
    """Every tensor's errors reach the output; the arena is the plan's, so some layers run in place."""
    x = np.random.default_rng(4).integers(-128, 128, (2, *model.graph.input_shape)).astype(np.int8)
    assert len(np.unique(reference.run(model, x))) > 9
    exported = export(model, "stm32l4r9", folder / "model", x)
    execution = run_elf(build_firmware(exported, "stm32l4r9", find_arm_compiler(kind), folder / "build"))
    assert execution.mismatches == 0
    assert execution.stack_bytes <= 512


def test_general_requantisation_on_the_core(arm_gcc: Compiler, tmp_path: Path) -> None:
    builder = GraphBuilder((6, 5, 5))
    x = builder.depthwise("input", 3, activation=RELU)
    x = builder.depthwise(x, (3, 2), 2, activation=RELU)
    builder.depthwise(x, 1, activation=RELU)
    model = spread_model(builder.build(), 5, zero_point=-90)
    assert {requantization_table(model, op).kind for op in model.graph.ops} == {Requantization.GENERAL}
    equal_on_the_core(model, "gcc", tmp_path)


def test_a_dying_input_is_written_over() -> None:
    builder = GraphBuilder((8, 8, 4))
    x = builder.depthwise("input", 3)
    x = builder.depthwise(x, 3, 2)
    plan = lower(builder.build(), load_target("stm32l4r9"))
    assert [step.in_place for step in plan.steps] == ["input", None]
