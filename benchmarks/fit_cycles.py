"""Fits a target's coefficients on the firmware itself and prints them as sections of its TOML file.

Emits single layers over a grid of shapes, builds them with arm-none-eabi-gcc, runs them on the virtual target, and fits
each kernel's cycles (relative least squares, no negative price), code bytes and stack. Then it predicts networks that
the fit has not seen and prints how far off it is.

    python benchmarks/fit_cycles.py [--networks 32] [--seed 1]
"""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from estimators import KERNELS, Kernel, Plan, estimate, lower
from estimators.cycles import terms
from estimators.flash import flash
from estimators.kernels import TERMS_OF, Term
from estimators.kinds import fitted
from estimators.targets import Code, Cycles, Stack, Target, load_target
from firmware.emit import export
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.virtual import build_firmware, load_image, run_elf
from search_spaces import (
    Activation,
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    GraphBuilder,
    MaxPool,
    Mul,
    Op,
    Scale,
    Shape,
    Sigmoid,
    Softmax,
    UpsampleNearest,
    get_space,
    network,
    network_names,
)

TARGET: Final = "stm32l4r9"

OWN_FUNCTIONS: Final = ("model_init", "model_input", "model_output", "model_invoke")
"""Functions of model.c; every other one in the model's sections belongs to a kernel."""

MOST_MACS: Final = 2_000_000
"""Of a random network: emulating more takes longer and shows nothing new."""

MOST_NAMED_MACS: Final = 20_000_000
"""Of a published network that is measured too."""

SPACES: Final[tuple[tuple[str, Shape], ...]] = (
    ("ds_cnn", (32, 32, 3)),
    ("attention_condenser", (49, 10, 1)),
    ("ds_cnn", (49, 10, 1)),
    ("attention_condenser", (47, 13, 1)),
    ("ds_cnn", (16, 16, 3)),
    ("attention_condenser", (12, 94, 1)),
    ("inverted_residual", (16, 16, 3)),
    ("bc_resnet", (40, 32, 1)),
)
"""Spaces that random networks are drawn from in turn, with the shape of their input."""

Layer = Callable[[GraphBuilder, str], str]


@dataclass(frozen=True, slots=True)
class Measured:
    """One network as built and run: bytes and cycles of one ``model_invoke``."""

    plan: Plan
    cycles: int
    instructions: int
    stack: int
    sram: int
    flash: int
    functions: Mapping[str, int]
    """Code bytes of each function of model.c."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Numbers of a target's file by kernel, and the bytes of model.c's functions without their calls."""

    prices: Mapping[Kernel, Mapping[Term, float]]
    code: Mapping[Kernel, int]
    stack: Mapping[Kernel, int]
    base: int
    calls: Mapping[Kernel, int]


def measure(graph: Graph, target: Target, compiler: Compiler, rng: np.random.Generator) -> Measured:
    """Builds ``graph`` with random integers, runs it over one random input, and reads off what it cost."""
    plan = lower(graph, target)
    vector = rng.integers(-128, 128, (1, *graph.input_shape)).astype(np.int8)
    with TemporaryDirectory(prefix="fit-") as scratch:
        folder = export(realistic_model(graph, rng), target, Path(scratch) / "model", vector)
        elf = build_firmware(folder, target.name, compiler, Path(scratch) / "build")
        image, execution = load_image(elf), run_elf(elf, target.name)
    if execution.mismatches:
        raise RuntimeError(f"{graph.name or 'network'}: {execution.mismatches} output bytes differ from the reference")
    sizes = image.sizes
    return Measured(
        plan,
        cycles=max(execution.cycles),
        instructions=max(execution.instructions),
        stack=execution.stack_bytes,
        sram=sizes.arena + sizes.data_bytes + execution.stack_bytes,
        flash=sizes.flash_bytes,
        functions={name: image.function(name).size for name in OWN_FUNCTIONS},
    )


def repeated(shape: Shape, layer: Layer, times: int = 1) -> Graph:
    """``times`` calls of one layer on an input of ``shape``: one after the other where the layer keeps the shape."""
    builder = GraphBuilder(shape)
    x = builder.input
    for _ in range(times):
        x = layer(builder, x)
    return builder.build()


def grid() -> Iterator[tuple[Kernel, Graph]]:
    """Single layers that spread every term of every kernel."""
    for shape, filters, kernel, stride in _CONVOLUTIONS:
        yield "conv2d_s8", repeated(shape, partial(_conv, filters=filters, kernel=kernel, stride=stride))
    for shape, size, stride, multiplier in _DEPTHWISE:
        layer = partial(_depthwise, kernel=size, stride=stride, multiplier=multiplier)
        yield "depthwise_conv2d_s8", repeated(shape, layer)
    for inputs in (4, 16, 64, 128, 256):
        for units in (2, 10, 35):
            yield "fully_connected_s8", repeated((1, 1, inputs), partial(_dense, units=units))
    for shape in _IMAGES:
        for window in ((2, 2), (3, 2), (3, 1), (3, 3), (4, 4)):
            yield "max_pool_s8", repeated(shape, partial(_max_pool, window=window))
            yield "avg_pool_s8", repeated(shape, partial(_avg_pool, window=window))
        yield "avg_pool_s8", repeated(shape, lambda builder, x: builder.global_avg_pool(x))
        yield "upsample_nearest_s8", repeated(shape, _upsample)
        yield "lookup_s8", repeated(shape, lambda builder, x: builder.sigmoid(x))
        yield "softmax_s8", repeated(shape, lambda builder, x: builder.softmax(x))
    for shape, resized in _OPERANDS:
        yield "add_s8", repeated(shape, partial(_add, size=resized))
        yield "mul_s8", repeated(shape, partial(_mul, size=resized))


def _conv(builder: GraphBuilder, x: str, filters: int, kernel: tuple[int, int], stride: int) -> str:
    return builder.conv(x, filters, kernel, stride)


def _depthwise(builder: GraphBuilder, x: str, kernel: int, stride: int, multiplier: int) -> str:
    return builder.depthwise(x, kernel, stride, multiplier=multiplier)


def _dense(builder: GraphBuilder, x: str, units: int) -> str:
    return builder.dense(x, units)


def _max_pool(builder: GraphBuilder, x: str, window: tuple[int, int]) -> str:
    return builder.max_pool(x, *window)


def _avg_pool(builder: GraphBuilder, x: str, window: tuple[int, int]) -> str:
    return builder.avg_pool(x, *window)


def _add(builder: GraphBuilder, x: str, size: tuple[int, int]) -> str:
    return builder.add(builder.upsample(x, size), builder.upsample(x, size))


def _mul(builder: GraphBuilder, x: str, size: tuple[int, int]) -> str:
    return builder.mul(builder.upsample(x, size), builder.upsample(x, size))


def _upsample(builder: GraphBuilder, x: str) -> str:
    height, width, _ = builder.shape(x)
    return builder.upsample(x, (2 * height, 2 * width))


_IMAGES: Final[tuple[Shape, ...]] = ((2, 2, 4), (4, 4, 32), (6, 5, 12), (8, 8, 3), (12, 12, 16), (5, 5, 64))

_OPERANDS: Final[tuple[tuple[Shape, tuple[int, int]], ...]] = (
    # Of the output's own size, so that all is one run; the networks also add tensors of one position.
    *((shape, shape[:2]) for shape in (*_IMAGES, (1, 1, 16), (10, 10, 1))),
    # Upsampled by odd and even factors, and repeated.
    *(((5, 3, channels), (10, 6)) for channels in (1, 4, 7, 24)),
    *(((7, 4, channels), (13, 7)) for channels in (3, 8, 15)),
    *(((3, 12, channels), (9, 47)) for channels in (2, 10)),
    ((1, 1, 12), (9, 8)),
    ((8, 1, 10), (8, 9)),
    ((1, 9, 10), (8, 9)),
)
"""Shape of an Add's or Mul's two operands, and the height and width to which the kernel resizes both."""

_CONVOLUTIONS: Final = (
    # Pointwise, from thin to wide and from one pixel to many.
    *(((6, 6, channels), filters, (1, 1), 1) for channels in (4, 8, 16, 32, 64, 128) for filters in (4, 16, 48)),
    *(((size, size, 32), 24, (1, 1), 1) for size in (1, 2, 3, 10)),
    *(((6, 6, 16), filters, (1, 1), 1) for filters in (1, 2, 5, 7, 30)),
    ((8, 8, 16), 32, (1, 1), 2),
    # Square kernels and the keyword network's, on few channels as in stems and on more.
    *(
        ((9, 8, channels), filters, (3, 3), stride)
        for channels in (1, 3, 16)
        for filters in (4, 20)
        for stride in (1, 2)
    ),
    *(((12, 12, channels), width, (5, 5), stride) for channels in (1, 3) for width in (4, 16) for stride in (1, 2)),
    *(((20, 10, 1), filters, (10, 4), stride) for filters in (8, 32) for stride in (1, 2)),
)

_DEPTHWISE: Final = (
    *(((size, size, channels), kernel, 1, 1) for size in (2, 4, 8) for channels in (4, 24, 64) for kernel in (3, 5)),
    *(((size, size, 16), kernel, 2, 1) for size in (4, 9, 12) for kernel in (3, 5)),
    *(((1, 1, 64), 3, 1, 1), ((16, 16, 8), 3, 1, 1), ((25, 5, 32), 3, 1, 1)),
    *(((size, size, 8), 3, 1, multiplier) for size in (3, 8) for multiplier in (2, 4)),
    *(((6, 6, channels), 3, 1, 1) for channels in (1, 3, 7, 18)),
    # Kernel 1: what a BatchNorm leaves, and the grouped convolutions of attention condensers.
    *(((6, 5, channels), 1, 1, multiplier) for channels in (4, 7, 16) for multiplier in (1, 2)),
)


def fit(layers: Sequence[tuple[Kernel, Measured]], several: Sequence[Measured]) -> Fit:
    """All numbers: prices and kernels from single ``layers``, the bytes of a call from ``several`` in one network."""
    base, calls = code_of_model([*(row for _, row in layers), *several])
    stack = {kernel: max(row.stack for name, row in layers if name == kernel) for kernel in KERNELS}
    # model_invoke of a longer network keeps more registers.
    longer = max(row.stack - max(stack[step.kernel] for step in row.plan.steps) for row in several)
    return Fit(
        prices={kernel: prices([row for name, row in layers if name == kernel], kernel) for kernel in KERNELS},
        code={kernel: max(code_of_kernel(row) for name, row in layers if name == kernel) for kernel in KERNELS},
        stack={kernel: depth + longer for kernel, depth in stack.items()},
        base=base,
        calls=calls,
    )


def prices(rows: Sequence[Measured], kernel: Kernel) -> dict[Term, float]:
    """Cycles per unit of each of a kernel's terms: least squares of the relative error, none negative."""
    counts = [terms(row.plan, row.plan.steps[0]) for row in rows]
    matrix = np.array([[count[term] for term in TERMS_OF[kernel]] for count in counts], dtype=float)
    relative = matrix / np.array([[row.cycles] for row in rows], dtype=float)
    scale = relative.max(axis=0)  # columns of one size, or the solver neglects the small ones
    solution = nnls(relative / scale, np.ones(len(rows)))[0] / scale
    print(f"# {kernel}: {len(rows)} layers, {spread(relative @ solution - 1)}")
    rounded = zip(TERMS_OF[kernel], (float(f"{value:.4g}") for value in solution), strict=True)
    return {term: value for term, value in rounded if value > 0}


def code_of_model(measured: Sequence[Measured]) -> tuple[int, dict[Kernel, int]]:
    """Bytes of model.c's functions besides the calls, and bytes for a call of each kernel."""
    counts = [Counter(step.kernel for step in row.plan.steps) for row in measured]
    matrix = np.array([[1.0, *(count[kernel] for kernel in KERNELS)] for count in counts])
    sizes = np.array([sum(row.functions.values()) for row in measured], dtype=float)
    base, *calls = (max(0, round(float(value))) for value in np.linalg.lstsq(matrix, sizes, rcond=None)[0])
    return base, dict(zip(KERNELS, calls, strict=True))


def code_of_kernel(row: Measured) -> int:
    """Bytes of a single layer's kernel with all that it brings along: its constants, helpers, padding."""
    return code_of(row) - sum(row.functions.values())


def code_of(row: Measured) -> int:
    """Bytes of a network's code: all its flash but the tables, whose size the plan tells exactly."""
    exact = flash(row.plan)
    return row.flash - exact.weights - exact.bias - exact.tables


def random_networks(target: Target, count: int, rng: np.random.Generator) -> Iterator[Graph]:
    """Random networks of ``SPACES``, each in turn."""
    spaces = [get_space(name, shape, 10) for name, shape in SPACES]
    found = 0
    while found < count:
        space = spaces[found % len(spaces)]
        graph = space.build(space.decode(space.draw(rng, 1)[0]))
        if graph.macs <= MOST_MACS and lower(graph, target).arena_bytes < target.usable_sram_bytes:
            found += 1
            yield graph


def realistic_model(graph: Graph, rng: np.random.Generator) -> Int8Model:
    """Random integers of the sizes that training gives: outputs spread over int8, ReLU outputs from -128 up."""
    quant = {graph.input: Quant(1 / 255, -128)}
    layers: dict[str, LayerWeights] = {}
    for op in graph.ops:
        source = quant[op.inputs[0]]
        if isinstance(op, MaxPool | AvgPool | UpsampleNearest):
            quant[op.output] = source
        elif isinstance(op, Scale):
            quant[op.output] = Quant(0.8 * source.scale, source.zero_point)
        elif isinstance(op, Sigmoid | Softmax):
            quant[op.output] = Quant(1 / 256, -128)
        else:
            clipped = getattr(op, "activation", Activation.NONE) is not Activation.NONE
            scale = max(quant[name].scale for name in op.inputs) * (100 if isinstance(op, Mul) else 1.5)
            quant[op.output] = Quant(scale if isinstance(op, Add | Mul) else 0.05, -128 if clipped else 3)
        if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
            layers[op.output] = _random_layer(graph, op, source.scale, rng)
    return Int8Model(graph, quant, layers)


def _random_layer(graph: Graph, op: Op, source: float, rng: np.random.Generator) -> LayerWeights:
    (height, width, channels), outputs = graph.shapes[op.inputs[0]], graph.shapes[op.output][2]
    shape: tuple[int, ...] = (outputs, height * width * channels)
    if isinstance(op, Conv2D):
        shape = (outputs, *op.kernel, channels)
    elif isinstance(op, DepthwiseConv2D):
        shape = (*op.kernel, outputs)
    weights = np.clip(np.round(rng.normal(0, 40, shape)), -127, 127).astype(np.int8)
    # A sum of `taps` products has a spread of about sqrt(taps) * 74 * 40: 40 of 127 steps of the output are wanted.
    scales = rng.uniform(20, 60, outputs) / (np.sqrt(weights.size // outputs) * 74 * 40) * 0.05 / source
    bias = np.round(rng.normal(0, 1000, outputs)).astype(np.int32)
    return LayerWeights(weights, scales.astype(np.float32), bias)


def chains(target: Target, rng: np.random.Generator) -> Iterator[Graph]:
    """Networks of several calls, which show what model.c spends on each: every kernel five times, and random ones."""
    shape = (4, 4, 8)
    for layer in _CHAINED:
        yield repeated(shape, layer, times=5)
    yield from random_networks(target, 12, rng)


_CHAINED: Final[tuple[Layer, ...]] = (
    lambda builder, x: builder.conv(x, 8),
    lambda builder, x: builder.depthwise(x),
    lambda builder, x: builder.dense(x, 8),
    lambda builder, x: builder.max_pool(x, 2, 1),
    lambda builder, x: builder.avg_pool(x, 2, 1),
    lambda builder, x: builder.upsample(x, (4, 4)),
    lambda builder, x: builder.add(x, x),
    lambda builder, x: builder.mul(x, x),
    lambda builder, x: builder.sigmoid(x),
    lambda builder, x: builder.softmax(x),
)


def with_numbers(target: Target, measured: Fit, how: str) -> Target:
    """``target`` with fitted tables."""
    numbers = {
        "stack": Stack(source=how, kernels=dict(measured.stack)),
        "cycles": Cycles(source=how, kernels={kernel: dict(terms) for kernel, terms in measured.prices.items()}),
        "code": Code(source=how, base=measured.base, kernels=dict(measured.code), calls=dict(measured.calls)),
    }
    return target.model_copy(update=numbers)


def relative_errors(networks: Sequence[Measured], target: Target) -> dict[str, NDArray[np.float64]]:
    """Estimated over measured, less 1, for each network.

    Of stack and code themselves: what else SRAM and flash hold is exact, so their totals are off by less, and by how
    much less depends on the network.
    """
    pairs = [(estimate(lower(row.plan.graph, target)), row) for row in networks]
    return {
        "stack": np.array([guess.stack_bytes / row.stack - 1 for guess, row in pairs]),
        "cycles": np.array([guess.cycles / row.cycles - 1 for guess, row in pairs]),
        "code": np.array([guess.code_bytes / code_of(row) - 1 for guess, row in pairs]),
    }


def toml_sections(measured: Fit, errors: Mapping[str, NDArray[np.float64]], how: str, count: int) -> str:
    """The tables of the target's file; a table's kind carries the largest error of its numbers."""
    spaces = ", ".join(sorted({name for name, _ in SPACES}))
    what = {"stack": "stack", "cycles": "no wait states; cycles", "code": "code"}
    lines = []
    for name, rows in errors.items():
        source = f"{how}; {what[name]} of {count} random networks of {spaces} the fit had not seen: {spread(rows)}"
        lines += ["", f"[{name}]", f'source = "{source}"', f'kind = "{fitted(largest_percent(rows))}"']
        if name == "code":
            lines += [f"base = {measured.base}", *_table("code.kernels", measured.code)]
            lines += _table("code.calls", measured.calls)
        elif name == "stack":
            lines += _table("stack.kernels", measured.stack)
        else:
            prices = {
                kernel: "{ " + ", ".join(f"{term} = {value}" for term, value in row.items()) + " }"
                for kernel, row in measured.prices.items()
            }
            lines += _table("cycles.kernels", prices)
    return "\n".join(lines)


def _table(name: str, rows: Mapping[Kernel, object]) -> list[str]:
    return ["", f"[{name}]", *(f"{key} = {value}" for key, value in rows.items())]


def spread(errors: NDArray[np.float64]) -> str:
    """Median and largest error as a phrase."""
    return f"median error {100 * np.median(abs(errors)):.2g} %, max {100 * abs(errors).max():.2g} %"


def largest_percent(errors: NDArray[np.float64]) -> float:
    """The largest error in per cent, rounded up to a tenth."""
    return float(np.ceil(1000 * abs(errors).max() - 1e-9) / 10)


def main() -> None:
    """Measures, fits, checks on networks that the fit has not seen, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=32, help="random networks to predict")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    compiler, target = find_arm_compiler("gcc"), load_target(TARGET)

    layers = [(kernel, measure(graph, target, compiler, rng)) for kernel, graph in grid()]
    several = [measure(graph, target, compiler, rng) for graph in chains(target, rng)]
    numbers = fit(layers, several)
    how = f"fitted on the Cortex-M4 virtual target, {compiler.version}, -O2, {datetime.date.today()}"

    fresh = np.random.default_rng(options.seed + 1)
    unseen = [measure(graph, target, compiler, fresh) for graph in random_networks(target, options.networks, fresh)]
    trial = with_numbers(target, numbers, how)
    errors = relative_errors(unseen, trial)
    print(toml_sections(numbers, errors, how, len(unseen)))

    print("\n# network: measured cycles, instructions, SRAM, flash; estimated / measured cycles, stack, code")
    graphs = [network(name) for name in network_names()]
    named = [measure(graph, target, compiler, fresh) for graph in graphs if graph.macs <= MOST_NAMED_MACS]
    ratios = relative_errors(named, trial)
    for index, row in enumerate(named):
        off = ", ".join(f"{1 + ratios[name][index]:.4f}" for name in ("cycles", "stack", "code"))
        print(f"# {row.plan.graph.name}: {row.cycles}, {row.instructions}, {row.sram}, {row.flash}; {off}")


if __name__ == "__main__":
    main()
