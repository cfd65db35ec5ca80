"""The assembly of kernels without weights: networks of them on the emulated core, built by both compilers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware import reference
from firmware.c_elementwise import add_run, mul_run
from firmware.emit import export
from firmware.int8_model import Int8Model, Quant
from firmware.integers import add_integers, mul_integers
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.virtual import build_firmware, run_elf
from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Add, Mul, Scale, Sigmoid

NONE, RELU, RELU6 = Activation.NONE, Activation.RELU, Activation.RELU6


@pytest.fixture(scope="module", params=["gcc", "zig"])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    """Both compilers, one after the other."""
    if request.param == "zig":
        return find_arm_compiler("zig")
    gcc: Compiler = request.getfixturevalue("arm_gcc")
    return gcc


def sums_and_products() -> Graph:
    """Runs of 3 to 1,287 elements that begin at every alignment; whole, upsampled and repeated operands."""
    builder = GraphBuilder((13, 9, 11))
    x = builder.add(builder.scale(builder.input), builder.input, NONE)
    x = builder.mul(x, builder.sigmoid(x), NONE)
    small = builder.max_pool(x, 3, 3)
    x = builder.add(builder.upsample(small, (13, 9)), x, RELU)
    x = builder.mul(x, builder.upsample(builder.scale(small), (13, 9)), NONE)
    x = builder.add(x, builder.scale(builder.global_avg_pool(x)), RELU6)
    x = builder.mul(x, builder.avg_pool(builder.input, (1, 9), (1, 9)), RELU6)
    builder.add(x, builder.input, NONE)
    return builder.build()


def pools(channels: int) -> Graph:
    """Windows of every orientation, at borders and whole; averages of more than 256 values; all of them added."""
    builder = GraphBuilder((20, 17, channels))
    whole = builder.avg_pool(builder.input, (20, 17), (20, 17))
    x = builder.add(builder.avg_pool(builder.input, (2, 3), 1), whole, NONE)
    for kernel in ((3, 3), (1, 5), (4, 1)):
        x = builder.add(builder.max_pool(builder.input, kernel, 1), x, NONE)
        x = builder.add(builder.avg_pool(builder.input, kernel, 1), x, NONE)
    x = builder.max_pool(builder.sigmoid(x), (3, 2), (2, 3))
    y = builder.upsample(builder.max_pool(builder.input, 2, 2, Padding.VALID), builder.shape(x)[:2])
    builder.avg_pool(builder.add(y, x, NONE), 2, (1, 2), Padding.VALID)
    return builder.build()


def lively(graph: Graph, rng: np.random.Generator) -> Int8Model:
    """Scales that spread every tensor over int8."""
    quant = {graph.input: Quant(0.02, 3)}
    for op in graph.ops:
        source = quant[op.inputs[0]]
        if isinstance(op, Sigmoid):
            quant[op.output] = Quant(1 / 256, -128)
        elif isinstance(op, Scale):
            quant[op.output] = Quant(source.scale * rng.uniform(0.5, 0.9), source.zero_point)
        elif isinstance(op, Add | Mul):
            scales = [quant[name].scale for name in op.inputs]
            scale = float(np.linalg.norm(scales)) if isinstance(op, Add) else float(np.prod(scales)) * 90
            zero_point = {NONE: int(rng.integers(-20, 20)), RELU: -128, RELU6: -100}[op.activation]
            quant[op.output] = Quant(scale, zero_point)
        else:
            quant[op.output] = source
    return Int8Model(graph, quant, {})


@pytest.mark.parametrize("graph", [sums_and_products(), pools(7), pools(8)], ids=["sums", "pools7", "pools8"])
def test_same_bytes(compiler: Compiler, graph: Graph, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    model = lively(graph, rng)
    forms = {(op.kind, add_run(add_integers(model, op))["kind"]) for op in graph.ops if isinstance(op, Add)}
    forms |= {(op.kind, mul_run(mul_integers(model, op))["fast"]) for op in graph.ops if isinstance(op, Mul)}
    assert len(forms) == (4 if any(isinstance(op, Mul) for op in graph.ops) else 1)
    images = rng.integers(-128, 128, (4, *graph.input_shape)).astype(np.int8)
    for name, tensor in reference.run_all(model, images).items():
        assert len(np.unique(tensor)) > 8, name
    folder = export(model, "stm32l4r9", tmp_path / "model", images)
    execution = run_elf(build_firmware(folder, "stm32l4r9", compiler, tmp_path / "build"))
    np.testing.assert_array_equal(execution.outputs.reshape(-1, *graph.output_shape), reference.run(model, images))
    assert execution.stack_bytes <= 512
