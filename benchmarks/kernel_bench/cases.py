"""What is measured: whole networks and single layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Final, Literal

from search_spaces import Activation, Graph, GraphBuilder, Shape, network

Unit = Literal["MAC", "element"]


@dataclass(frozen=True, slots=True)
class Case:
    """A network to measure. Its instructions are told per multiply-accumulate, or per element where it has none."""

    name: str
    build: Callable[[], Graph]
    unit: Unit = "MAC"

    def units(self, graph: Graph) -> int:
        """How many MACs, or elements, ``graph`` has: of a pooling its input's, of an Add its output's, the same."""
        return graph.macs if self.unit == "MAC" else prod(graph.input_shape)


def find_cases(names: list[str]) -> list[Case]:
    """Cases whose name contains one of ``names``, in order; no name gives all. Raises KeyError for a name in none."""
    for name in names:
        if not any(name in case.name for case in CASES):
            raise KeyError(name)
    return [case for case in CASES if not names or any(name in case.name for name in names)]


Layer = Callable[[GraphBuilder, str], str]


def _layer(name: str, shape: Shape, layer: Layer, unit: Unit = "MAC") -> Case:
    def build() -> Graph:
        builder = GraphBuilder(shape)
        layer(builder, builder.input)
        return builder.build(name)

    return Case(name, build, unit)


def _conv(size: int, shape: Shape, filters: int, weight_bits: int = 8) -> Case:
    height, width, channels = shape
    what = "pointwise" if size == 1 else f"conv {size}x{size}"
    name = f"{what} {height}x{width}x{channels} -> {filters}{_bits(weight_bits)}"
    return _layer(name, shape, lambda builder, x: builder.conv(x, filters, size, weight_bits=weight_bits))


def _dense(inputs: int, units: int, weight_bits: int = 8) -> Case:
    name = f"dense {inputs} -> {units}{_bits(weight_bits)}"
    return _layer(name, (1, 1, inputs), lambda builder, x: builder.dense(x, units, weight_bits=weight_bits))


def _bits(weight_bits: int) -> str:
    return "" if weight_bits == 8 else f", {weight_bits}-bit weights"


def _depthwise(size: int, shape: Shape, stride: int = 1) -> Case:
    height, width, channels = shape
    name = f"depthwise {size}x{size}{f' stride {stride}' if stride > 1 else ''} {height}x{width}x{channels}"
    return _layer(name, shape, lambda builder, x: builder.depthwise(x, size, stride))


NETWORKS: Final = ("mlperf-kws-dscnn", "mlperf-ic-resnet8")

CASES: Final[tuple[Case, ...]] = (
    *(Case(name, partial(network, name)) for name in NETWORKS),
    _conv(3, (32, 32, 3), 16),
    _depthwise(3, (32, 32, 16)),
    _conv(1, (32, 32, 16), 32),
    _depthwise(3, (32, 32, 32), stride=2),
    _conv(1, (16, 16, 32), 64),
    _depthwise(3, (16, 16, 64)),
    _conv(1, (8, 8, 128), 128),
    _depthwise(3, (8, 8, 128)),
    _dense(128, 10),
    _conv(3, (16, 16, 16), 16),
    _depthwise(5, (16, 16, 64)),
    _layer("average pool 8x8x64", (8, 8, 64), lambda builder, x: builder.global_avg_pool(x), "element"),
    # The second operand has the first one's bytes and another scale: a network has one input only.
    _layer(
        "add 32x32x16",
        (32, 32, 16),
        lambda builder, x: builder.add(x, builder.scale(x), Activation.RELU),
        "element",
    ),
    _conv(1, (8, 8, 128), 128, weight_bits=4),
    _dense(128, 10, weight_bits=4),
)
"""Networks first. Convolutions, depthwise ones and Add end in ReLU, as those of the networks do; padding is SAME."""
