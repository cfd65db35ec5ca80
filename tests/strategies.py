"""Random networks for property tests: small graphs over all operations, integers for them, images.

@given(models())
def test_bytes(model): ...

@given(graphs(ops=(Conv2D, Add)), seeds())
def test_plan(graph, seed): model = random_int8_model(graph, np.random.default_rng(seed))
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware.int8_model import (
    PROBABILITIES,
    PROBABILITY,
    SHARING,
    WEIGHTED,
    Int8Model,
    LayerWeights,
    Quant,
    weight_max,
    weight_shape,
)
from search_spaces.geometry import Padding, window
from search_spaces.graph import INPUT, Graph
from search_spaces.ops import (
    Activation,
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Op,
    Pair,
    Scale,
    Shape,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

ALL_OPS: tuple[type[Op], ...] = (
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    AvgPool,
    UpsampleNearest,
    Add,
    Mul,
    Scale,
    Sigmoid,
    Softmax,
)

# Keep examples fast where every instruction is emulated.
MOST_ELEMENTS = 3000  # of a tensor
MOST_WEIGHTS = 3000  # of a layer
MOST_MACS = 60_000  # of a layer


def seeds() -> st.SearchStrategy[int]:
    """Seeds for ``np.random.default_rng``."""
    return st.integers(0, 2**32 - 1)


# --- graphs ----------------------------------------------------------------------------------------------------------


class _Net:
    """Operations so far and the shapes of their tensors."""

    def __init__(self, input_shape: Shape) -> None:
        self.ops: list[Op] = []
        self.shapes: dict[str, Shape] = {INPUT: input_shape}

    def append(self, kind: type[Op], *inputs: str, **options: Any) -> str | None:
        """Name of the new tensor; None, and nothing appended, where it would grow too large."""
        op = kind(inputs=inputs, output=f"t{len(self.ops)}", **options)
        shapes = [self.shapes[name] for name in inputs]
        out = op.output_shape(shapes)
        if np.prod(out) > MOST_ELEMENTS or op.params(shapes, out) > MOST_WEIGHTS or op.macs(shapes, out) > MOST_MACS:
            return None
        self.ops.append(op)
        self.shapes[op.output] = out
        return op.output

    def needed(self) -> list[Op]:
        """The last operation and all that it depends on, in order."""
        needed, kept = {op.output for op in self.ops[-1:]}, []
        for op in reversed(self.ops):
            if op.output in needed:
                needed |= {*op.inputs}
                kept.append(op)
        return kept[::-1]

    def graph(self) -> Graph:
        return Graph(self.shapes[INPUT], tuple(self.needed()))


@st.composite
def graphs(
    draw: st.DrawFn,
    max_ops: int = 6,
    ops: Collection[type[Op]] = ALL_OPS,
    max_extent: int = 11,
    max_channels: int = 9,
) -> Graph:
    """A valid graph of the operations ``ops``, at most ``max_ops`` of them and a few helpers for every Add and Mul.

    Odd extents, strides, dilation, both paddings, kernels larger than the image, depth multipliers, broadcasts along
    every axis, an operand combined with itself or with itself scaled, one or both operands upsampled (through a Scale,
    too, and to fewer rows), tensors with several readers, channel counts of every residue modulo 4. There is always
    something to compute: one operation besides Scale.
    """
    extent = st.integers(1, max_extent)
    net = _Net((draw(extent), draw(extent), draw(st.integers(1, max_channels))))
    kinds = [kind for kind in ALL_OPS if kind in ops]
    wanted = draw(st.integers(1, max_ops))
    for _ in range(wanted):
        # The newest tensor most of the time: depth rather than branches that nobody reads.
        names = list(net.shapes)
        source = draw(st.sampled_from(names)) if draw(st.integers(0, 3)) == 3 else names[-1]
        kind = draw(st.sampled_from(kinds))
        if kind in (Add, Mul):
            pair = _operands(draw, net, source, kinds)
            net.append(kind, *draw(st.permutations(pair)), activation=draw(st.sampled_from(Activation)))
        else:
            net.append(kind, source, **_options(draw, kind, net.shapes[source], max_channels))
    if all(isinstance(op, Scale) for op in net.needed()):  # nothing else was drawn, or every other draw was too large
        computing = [kind for kind in kinds if kind is not Scale]
        kind = draw(st.sampled_from([kind for kind in computing if kind is not FullyConnected] or computing))
        newest = list(net.shapes)[-1]
        inputs = (newest, newest) if kind in (Add, Mul) else (newest,)
        net.append(kind, *inputs, **_least_options(kind))
    return net.graph()


def _options(draw: st.DrawFn, kind: type[Op], shape: Shape, max_channels: int) -> dict[str, Any]:
    """Arguments of an operation of one input of ``shape``."""
    channels = st.integers(1, max_channels)
    match kind.__name__:
        case "Conv2D":
            return _window_options(draw, shape, dilated=True) | {"filters": draw(channels), **_fused(draw)}
        case "DepthwiseConv2D":
            return _window_options(draw, shape, dilated=True) | {"multiplier": draw(st.integers(1, 3)), **_fused(draw)}
        case "FullyConnected":
            return {"units": draw(channels), **_fused(draw)}
        case "MaxPool" | "AvgPool":
            if draw(st.integers(0, 3)) == 0:
                return {"kernel": shape[:2], "stride": shape[:2], "padding": Padding.VALID}  # global
            return _window_options(draw, shape, dilated=False)
        case "UpsampleNearest":
            return {"size": _sizes(draw, shape)}
    return {}


def _sizes(draw: st.DrawFn, shape: Shape) -> Pair:
    """What to resize an image of ``shape`` to: twice its size or any."""
    if draw(st.booleans()):
        return (2 * shape[0], 2 * shape[1])
    return (draw(st.integers(1, 2 * shape[0] + 1)), draw(st.integers(1, 2 * shape[1] + 1)))


def _resized(draw: st.DrawFn, net: _Net, name: str, kinds: list[type[Op]], size: Pair) -> str | None:
    """The tensor ``name`` upsampled to ``size`` and now and then scaled; None where that would be too large."""
    if UpsampleNearest not in kinds:
        return None
    resized = net.append(UpsampleNearest, name, size=size)
    if resized is not None and Scale in kinds and draw(st.integers(0, 3)) == 3:
        return net.append(Scale, resized)
    return resized


def _fused(draw: st.DrawFn) -> dict[str, Activation]:
    return {"activation": draw(st.sampled_from(Activation))}


def _window_options(draw: st.DrawFn, shape: Shape, *, dilated: bool) -> dict[str, Any]:
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (2, 2), (1, 3), (3, 2), (5, 1), (4, 5)]))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2), (3, 2)]))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 3)])) if dilated else (1, 1)
    fits = all(window(shape[i], kernel[i], stride[i], dilation[i], Padding.VALID)[0] >= 1 for i in (0, 1))
    padding = draw(st.sampled_from(Padding)) if fits else Padding.SAME
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def _least_options(kind: type[Op]) -> dict[str, Any]:
    """Arguments with which an operation stays as small as it can be."""
    return {
        "Conv2D": {"filters": 1, "kernel": (1, 1)},
        "DepthwiseConv2D": {"kernel": (1, 1)},
        "FullyConnected": {"units": 1},
        "MaxPool": {"kernel": (1, 1)},
        "AvgPool": {"kernel": (1, 1)},
        "UpsampleNearest": {"size": (1, 1)},
    }.get(kind.__name__, {})


def _operands(draw: st.DrawFn, net: _Net, source: str, kinds: list[type[Op]]) -> list[str]:
    """Operands for an Add or Mul, ``source`` among them or what one is upsampled from."""
    shape = net.shapes[source]
    resized = draw(st.sampled_from(["neither", "neither", "one", "both"]))
    if resized == "one":
        small: str | None = source
        pools = [kind for kind in (MaxPool, AvgPool) if kind in kinds]
        if pools:
            factor = draw(st.sampled_from([(2, 2), (3, 2), (1, 4), (4, 1), shape[:2]]))
            small = net.append(draw(st.sampled_from(pools)), source, kernel=factor, stride=factor)
        size = draw(st.sampled_from([shape[:2]] * 3 + [(shape[0], 1), (1, shape[1])]))
        other = None if small is None else _resized(draw, net, small, kinds, size)
        if other is not None:
            return [source, other]
    if resized == "both":
        size = _sizes(draw, shape)
        like = draw(
            st.sampled_from([name for name, other in net.shapes.items() if other[2] in (shape[2], 1)] + [source])
        )
        first, second = (_resized(draw, net, name, kinds, size) for name in (source, like))
        if first is not None and second is not None:
            return [first, second]
    return [source, _partner(draw, net, source, kinds)]


def _partner(draw: st.DrawFn, net: _Net, first: str, kinds: list[type[Op]]) -> str:
    """Second operand for an Add or Mul: a tensor that is there and fits, or one made from ``first`` for the purpose."""
    height, width, channels = shape = net.shapes[first]
    made: list[tuple[type[Op], dict[str, Any]]] = []
    for kernel in ((height, width), (height, 1), (1, width)):
        for pool in (AvgPool, MaxPool):
            made.append((pool, {"kernel": kernel, "stride": kernel, "padding": Padding.VALID}))
    for filters in (1, channels):
        made.append((Conv2D, {"filters": filters, "kernel": (1, 1), **_fused(draw)}))
        made.append((FullyConnected, {"units": filters, **_fused(draw)}))
    made += [(Sigmoid, {}), (Softmax, {}), (DepthwiseConv2D, {"kernel": (3, 3)}), (Scale, {}), (Scale, {})]
    made = [(kind, options) for kind, options in made if kind in kinds]
    if made and draw(st.booleans()):
        kind, options = draw(st.sampled_from(made))
        name = net.append(kind, first, **options)
        if name is not None:
            return name
    fitting = [name for name, other in net.shapes.items() if name != first and _broadcasts(shape, other)]
    return draw(st.sampled_from([first, *fitting, *fitting]))


def _broadcasts(a: Shape, b: Shape) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(a, b, strict=True))


# --- integers --------------------------------------------------------------------------------------------------------


def random_int8_model(graph: Graph, rng: np.random.Generator) -> Int8Model:
    """Integers for ``graph``: mostly as trained networks have them, now and then extreme.

    Extreme are outputs that nearly all saturate or nearly all coincide, multipliers above one and below 2**-32, weights
    all at the limit or all zero in a channel, biases near 2**30, zero points at the ends. No sum of any layer, and no
    shift to the left, leaves int32 for any input.
    """
    quant = {INPUT: Quant(float(rng.uniform(0.001, 0.05)), _zero_point(rng))}
    layers: dict[str, LayerWeights] = {}
    for op in graph.ops:
        sources = [quant[name] for name in op.inputs]
        if isinstance(op, SHARING):
            quant[op.output] = sources[0]
        elif isinstance(op, PROBABILITIES):
            quant[op.output] = PROBABILITY
        elif isinstance(op, Scale):
            scale = sources[0].scale * 2 ** rng.uniform(-4, 4)
            quant[op.output] = Quant(float(np.clip(scale, 1e-6, 1e3)), sources[0].zero_point)
        elif isinstance(op, Add):
            scale = max(source.scale for source in sources) * _ratio(rng)
            quant[op.output] = Quant(float(np.clip(scale, 1e-6, 1e3)), _zero_point(rng, op))
        elif isinstance(op, Mul):
            scale = sources[0].scale * sources[1].scale * 128 * _ratio(rng)
            quant[op.output] = Quant(float(np.clip(scale, 1e-6, 1e3)), _zero_point(rng, op))
        else:
            quant[op.output] = Quant(float(10 ** rng.uniform(-2.5, -1)), _zero_point(rng, op))
        if isinstance(op, WEIGHTED):
            layers[op.output] = _layer(graph, op, sources[0].scale, quant[op.output].scale, rng)
    return Int8Model(graph, quant, layers)


def _zero_point(rng: np.random.Generator, op: Op | None = None) -> int:
    if getattr(op, "activation", Activation.NONE) is not Activation.NONE and rng.random() < 0.8:
        return int(rng.integers(-128, -100))  # little below zero to represent
    return int(rng.choice([-128, 127, 0, *rng.integers(-100, 100, 4)]))


def _ratio(rng: np.random.Generator) -> float:
    """Output scale over the natural one of an Add or Mul: about 1, now and then far off either way."""
    return float(rng.uniform(0.5, 2) if rng.random() < 0.7 else 2 ** rng.uniform(-10, 12))


def _layer(
    graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected, source: float, target: float, rng: np.random.Generator
) -> LayerWeights:
    """Weights of ``op`` between tensors of the scales ``source`` and ``target``."""
    shape = weight_shape(graph, op)
    outputs = graph.shapes[op.output][2]
    taps = int(np.prod(shape)) // outputs
    spread = rng.choice([10, 40, 1000])  # the last: nearly all at the limit
    limit = weight_max(op)
    weights = np.clip(np.round(rng.normal(0, spread * limit / 127, shape)), -limit, limit).astype(np.int8)
    if rng.random() < 0.15:
        np.moveaxis(weights, -1 if isinstance(op, DepthwiseConv2D) else 0, 0)[0] = 0  # one dead channel

    multiplier = rng.uniform(20, 80, outputs) / (
        np.sqrt(taps) * 74 * min(spread, 100) * limit / 127
    )  # outputs spread over int8
    bias = rng.normal(0, 20, outputs) / multiplier  # and their means too
    style = rng.random()
    if style < 0.1:
        multiplier = multiplier * 2.0 ** rng.uniform(3, 8)  # nearly all saturate
    elif style < 0.2:
        multiplier = multiplier * 2.0 ** rng.uniform(-25, -3, outputs)  # nearly all coincide; some multipliers vanish
    elif style < 0.3:
        multiplier = 2.0 ** rng.uniform(-20, 3, outputs)  # from far below one to above, channel by channel
    elif style < 0.4:
        bias = rng.choice([-1.0, 1.0], outputs) * 2.0**30
    most = 255 * 127 * taps  # what a sum without bias cannot exceed
    # A multiplier's shift to the left is at most twice the multiplier.
    room = np.minimum((2**31 - 1) / np.maximum(2 * multiplier, 1), 2.0**30) - most - 1
    bias = np.clip(np.round(bias), -room, room).astype(np.int32)
    return LayerWeights(weights, (multiplier * target / source).astype(np.float32), bias)


# --- everything at once ----------------------------------------------------------------------------------------------


@st.composite
def models(
    draw: st.DrawFn,
    max_ops: int = 6,
    ops: Collection[type[Op]] = ALL_OPS,
    max_extent: int = 11,
    max_channels: int = 9,
) -> Int8Model:
    """A random graph with random integers, now and then with weights of 4 bits where they may be; see
    ``graphs`` and ``random_int8_model``."""
    graph = draw(graphs(max_ops, ops, max_extent, max_channels)).with_weight_bits(draw(st.sampled_from([8, 8, 4])))
    return random_int8_model(graph, np.random.default_rng(draw(seeds())))


def random_input(model: Int8Model, n: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """``n`` int8 images: all -128, all 127, all at the zero point, then noise over the whole range."""
    x = rng.integers(-128, 128, (n, *model.graph.input_shape)).astype(np.int8)
    for image, value in zip(x[: max(0, n - 1)], (-128, 127, model.input_quant.zero_point), strict=False):
        image[:] = value
    return x
