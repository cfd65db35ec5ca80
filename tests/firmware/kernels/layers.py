"""Single weighted layers with awkward numbers, and a program that runs their kernels on this machine."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import firmware
from estimators.kernels import Kernel, kernel_of, sources_of
from estimators.scratch import scratch_bytes
from firmware import c_layers
from firmware.c_text import Value
from firmware.int8_model import Int8Model, LayerWeights, Quant, weight_max, weight_shape
from firmware.toolchain import HOST_CFLAGS, WARNINGS, find_host_compiler, run_tool
from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Conv2D, FullyConnected, Op

HERE = Path(__file__).parent
KERNELS = Path(firmware.__file__).parent / "kernels"
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_VALUES: dict[Kernel, Callable[[Int8Model, Op], dict[str, Value]]] = {
    "conv2d_s8": c_layers.conv2d_values,
    "pointwise_s8": c_layers.pointwise_values,
    "fully_connected_s8": c_layers.fully_connected_values,
    "pointwise_s4": c_layers.pointwise_values,
    "fully_connected_s4": c_layers.fully_connected_values,
}
NARROW: dict[bool, tuple[str, ...]] = {True: (), False: ("-DMULTIPLIES_TO_64_BITS=0",)}
"""Flags for kernels with and without the DSP extension."""
_JOBS = tuple(_VALUES)  # in the order of the driver's enumeration

NUMBERS = ("spread", "ties", "saturated", "shifted left", "tiny", "mixed", "wide")
"""Kinds of requantisation: usual; factors that are powers of two, so that sums lie half-way; far beyond int8; factors
above 1; factors that shift everything out, or are 0; one of each in a layer; sums beyond 2**30."""


class Driver:
    """``driver.c`` with the kernels of matrix products, under the sanitisers; a context manager.

    Without ``dsp`` they are those of cores without the DSP extension, and multiply words alone.
    """

    def __init__(self, folder: Path, dsp: bool = True) -> None:
        self._dsp = dsp
        compiler = find_host_compiler()
        sources = sorted({file for kernel in _VALUES for file in sources_of(kernel, dsp)})
        flags = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", *SANITIZERS, *NARROW[dsp], "-I", str(KERNELS)]
        program = folder / "driver"
        run_tool([*compiler.cc, *flags, "-o", program, HERE / "driver.c", *(KERNELS / file for file in sources)])
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(
        self, model: Int8Model, image: NDArray[np.int8], lag: int = -1, rows: tuple[int, int] | None = None
    ) -> NDArray[np.int8]:
        """Output of a one-layer model for one image (height, width, channels).

        With ``lag`` the output begins that many bytes before the input, in the same memory; of a conv2d_s8 only
        ``rows`` (first, end) are computed. Raises AssertionError with what the sanitisers say.
        """
        (op,) = model.graph.ops
        kernel, out = kernel_of(op), model.graph.output_shape
        params = integers(_VALUES[kernel](model, op))
        filters = c_layers.filters(model, op, self._dsp).astype("<i4").tobytes()
        first, end = rows or (0, out[0])
        shape = (end - first, *out[1:])
        header = (
            _JOBS.index(kernel),
            4 * len(params),
            image.size,
            len(filters),
            scratch_bytes(kernel, op, model.graph.input_shape),
            int(np.prod(shape)),
            lag,
            first,
            end,
            out[0] * out[1],
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        data = struct.pack("<10i", *header) + struct.pack(f"<{len(params)}i", *params) + filters + image.tobytes()
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
            answer = self._process.stdout.read(header[5])
        except BrokenPipeError:
            answer = b""
        assert len(answer) == header[5], self._process.stderr.read().decode(errors="replace")
        return np.frombuffer(answer, np.int8).reshape(shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def integers(values: Mapping[str, Value]) -> list[int]:
    """A structure's members in their order."""
    found: list[int] = []
    for value in values.values():
        found += [value] if isinstance(value, int) else integers(value)
    return found


@st.composite
def conv_graphs(draw: st.DrawFn) -> Graph:
    """A convolution of any geometry on a small image."""
    extent, side = st.integers(1, 9), st.integers(1, 4)
    builder = GraphBuilder((draw(extent), draw(extent), draw(st.integers(1, 9))))
    height, width, _ = builder.input_shape
    kernel, dilation = (draw(side), draw(side)), (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    fits = all((k - 1) * d < size for k, d, size in zip(kernel, dilation, (height, width), strict=True))
    builder.conv(
        builder.input,
        draw(st.integers(1, 9)),
        kernel,
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        dilation=dilation,
        padding=draw(st.sampled_from(Padding)) if fits else Padding.SAME,
        activation=draw(st.sampled_from(Activation)),
    )
    return builder.build()


@st.composite
def pointwise_graphs(draw: st.DrawFn, weight_bits: int = 8) -> Graph:
    """A convolution of one pixel and stride 1."""
    builder = GraphBuilder((draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 41))))
    activation = draw(st.sampled_from(Activation))
    builder.conv(builder.input, draw(st.integers(1, 13)), activation=activation, weight_bits=weight_bits)
    return builder.build()


@st.composite
def dense_graphs(draw: st.DrawFn, weight_bits: int = 8) -> Graph:
    """A dense layer."""
    builder = GraphBuilder((draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 30))))
    activation = draw(st.sampled_from(Activation))
    builder.dense(builder.input, draw(st.integers(1, 11)), activation, weight_bits=weight_bits)
    return builder.build()


@st.composite
def layers(draw: st.DrawFn, graphs: st.SearchStrategy[Graph]) -> tuple[Int8Model, NDArray[np.int8]]:
    """A model of one layer, and images (count, height, width, channels) for it."""
    graph = draw(graphs)
    zero_points = st.sampled_from([-128, 127, 0, -3, 40])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    model = awkward_model(graph, draw(st.sampled_from(NUMBERS)), (draw(zero_points), draw(zero_points)), rng)
    images = rng.integers(-128, 128, (2, *graph.input_shape)).astype(np.int8)
    images[1] = rng.choice(np.array([-128, 127], np.int8), graph.input_shape)
    return model, images


def awkward_model(graph: Graph, numbers: str, zero_points: tuple[int, int], rng: np.random.Generator) -> Int8Model:
    """Random integers for a graph of one layer; ``numbers`` is of NUMBERS, the zero points are input's, output's."""
    (op,) = graph.ops
    assert isinstance(op, Conv2D | FullyConnected)
    shape = weight_shape(graph, op)
    filters, inputs, limit = shape[0], int(np.prod(shape[1:])), weight_max(op)
    spread = 40 / (np.sqrt(inputs) * 74 * 73 * limit / 127)  # of the factors that bring sums into int8
    scales = {
        "spread": rng.uniform(0.5, 1.5, filters) * spread,
        "ties": 2.0 ** rng.integers(-9, -4, filters),
        "saturated": rng.uniform(20, 200, filters) * spread,
        "shifted left": rng.uniform(1, 300, filters),
        "tiny": 2.0 ** rng.integers(-40, -18, filters),
        "mixed": 2.0 ** rng.uniform(-40, 3, filters),
        "wide": 2.0 ** rng.uniform(-31, -20, filters),
    }[numbers]
    weights = rng.integers(-limit, limit + 1, shape).astype(np.int8)
    weights[rng.random(filters) < 0.1] = limit
    least = (1 << 30) if numbers == "wide" else 0
    bias = rng.choice([-1, 1], filters) * (least + rng.integers(0, 2000 * inputs, filters))
    quant = {graph.input: Quant(1.0, zero_points[0]), graph.output: Quant(1.0, zero_points[1])}
    layer = LayerWeights(weights, scales.astype(np.float32), bias.astype(np.int32))
    return Int8Model(graph, quant, {graph.output: layer})
