"""Single layers over shapes that spread every term of every kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Final

from search_spaces import Activation, Graph, GraphBuilder, Padding, Shape
from search_spaces.ops import Pair

Layer = Callable[[GraphBuilder, str], str]

RELU: Final = Activation.RELU
NONE: Final = Activation.NONE
BOTH: Final = (RELU, NONE)
"""What is not rectified costs an instruction more for each output."""


def repeated(shape: Shape, layer: Layer, times: int = 1) -> Graph:
    """``times`` calls of one layer on an input of ``shape``: one after the other where the layer keeps the shape."""
    builder = GraphBuilder(shape)
    x = builder.input
    for _ in range(times):
        x = layer(builder, x)
    return builder.build()


def grid() -> Iterator[Graph]:
    """Networks of one step each."""
    yield from _pointwise()
    yield from _convolutions()
    yield from _depthwise()
    yield from _dense()
    yield from _weights_of_4_bits()
    yield from _pooling()
    yield from _element_wise()


def _pointwise() -> Iterator[Graph]:
    # From thin to wide, with inputs and filters left over from fours and twos, and widths of known networks.
    widths = (
        *product((3, 4, 7, 8, 16, 33, 64), (1, 4, 7, 16, 48)),
        *((9, 10), (10, 15), (15, 9), (7, 6), (6, 9), (20, 20), (20, 6), (6, 20), (1, 8), (2, 3), (128, 128), (64, 2)),
    )
    for index, (channels, filters) in enumerate(widths):
        yield repeated((5, 7, channels), partial(_conv, filters=filters, activation=BOTH[index % 2]))
    # From one position to many, with positions left over from tiles; narrow images.
    for index, shape in enumerate(((1, 1), (1, 2), (1, 3), (2, 2), (1, 5), (2, 3), (1, 7), (10, 10), (25, 5))):
        for channels, filters in ((32, 24), (10, 15), (64, 64)):
            layer = partial(_conv, filters=filters, activation=BOTH[index % 2])
            yield repeated((*shape, channels), layer)
    # Sums over so many inputs that cores without SIMD take them in pieces.
    for channels, filters in ((260, 6), (600, 9)):
        yield repeated((2, 4, channels), partial(_conv, filters=filters, activation=RELU))
    for activation in BOTH:
        yield repeated((12, 12, 16), partial(_conv, filters=24, activation=activation))
        yield repeated((6, 6, 9), partial(_conv, filters=15, activation=activation))


def _convolutions() -> Iterator[Graph]:
    for index, (shape, filters, kernel, stride, dilation) in enumerate(_CONVOLUTIONS):
        layer = partial(
            _conv, filters=filters, kernel=kernel, stride=stride, dilation=dilation, activation=BOTH[index % 2]
        )
        yield repeated(shape, layer)


_CONVOLUTIONS: Final[tuple[tuple[Shape, int, Pair, Pair, Pair], ...]] = (
    # Square kernels on few channels as in stems and on more.
    *(
        ((9, 8, channels), filters, (3, 3), (stride, stride), (1, 1))
        for channels, filters, stride in product((1, 3, 4, 16), (4, 7, 20), (1, 2))
    ),
    *(
        ((12, 11, channels), filters, (5, 5), (stride, stride), (1, 1))
        for channels, filters, stride in product((1, 3, 8), (5, 16), (1, 2))
    ),
    *(((20, 10, 1), filters, (10, 4), stride, (1, 1)) for filters, stride in product((8, 33), ((1, 1), (2, 2)))),
    *(((16, 16, channels), filters, (3, 3), (1, 1), (1, 1)) for channels, filters in ((3, 16), (16, 16), (8, 15))),
    *(((5, 6, channels), filters, (3, 3), (1, 1), (1, 1)) for channels, filters in ((32, 8), (40, 11), (64, 16))),
    # Narrow and flat images, down to no room for any kernel row without padding.
    *(((25, 5, channels), filters, (3, 3), (1, 1), (1, 1)) for channels, filters in ((7, 17), (12, 8), (15, 38))),
    *(((49, 10, 1), 24, (10, 4), (2, 2), (1, 1)), ((40, 32, 1), 16, (5, 5), (2, 1), (1, 1))),
    *(((size, size, 8), 6, (3, 3), (1, 1), (1, 1)) for size in (1, 2, 3)),
    *(((5, 3, 4), 9, (5, 5), (1, 1), (1, 1)), ((24, 24, 4), 8, (3, 3), (2, 2), (1, 1))),
    # One kernel row or column; strides alone.
    *(((8, 32, 8), 8, (1, 5), (1, 1), (1, 1)), ((1, 12, 4), 8, (1, 3), (1, 1), (1, 1))),
    *(((32, 8, 8), 8, (3, 1), (1, 1), (1, 1)), ((12, 1, 4), 8, (3, 1), (1, 1), (1, 1))),
    *(((8, 32, 3), 6, (1, 7), (1, 1), (1, 1)), ((32, 8, 7), 10, (7, 1), (1, 1), (1, 1))),
    *(((8, 8, 32), 63, (1, 1), (2, 2), (1, 1)), ((9, 9, 10), 12, (1, 1), (2, 2), (1, 1))),
    *(((16, 10, 12), 12, (3, 3), (2, 1), (1, 1)), ((10, 16, 12), 12, (3, 3), (1, 2), (1, 1))),
    # Taps that lie apart, along both axes and along one.
    *(((12, 12, channels), 8, (3, 3), (1, 1), (2, 2)) for channels in (3, 4, 16)),
    *(((20, 8, 6), 7, (3, 1), (1, 1), (4, 1)), ((20, 8, 8), 8, (3, 3), (1, 1), (2, 1))),
    *(((8, 20, 8), 8, (1, 3), (1, 1), (1, 3)), ((8, 20, 5), 8, (3, 3), (1, 1), (1, 2))),
)
"""Input, filters, kernel, stride, dilation."""


def _depthwise() -> Iterator[Graph]:
    for index, (shape, kernel, stride, dilation, multiplier) in enumerate(_DEPTHWISE):
        layer = partial(
            _depthwise_conv,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            multiplier=multiplier,
            activation=BOTH[index % 2],
        )
        yield repeated(shape, layer)


_DEPTHWISE: Final[tuple[tuple[Shape, Pair, Pair, Pair, int], ...]] = (
    *(
        ((size, size, channels), (kernel, kernel), (1, 1), (1, 1), 1)
        for size, channels, kernel in product((2, 4, 8), (4, 24, 64), (3, 5))
    ),
    *(((size, size, 16), (kernel, kernel), (2, 2), (1, 1), 1) for size, kernel in product((4, 9, 12), (3, 5))),
    *(((1, 1, 64), (3, 3), (1, 1), (1, 1), 1), ((1, 1, 16), (5, 5), (1, 1), (1, 1), 1)),
    *(((16, 16, 8), (3, 3), (1, 1), (1, 1), 1), ((25, 5, 32), (3, 3), (1, 1), (1, 1), 1)),
    *(((25, 5, 7), (3, 3), (1, 1), (1, 1), 1), ((12, 47, 10), (3, 3), (1, 1), (1, 1), 1)),
    *(((12, 2, 15), (3, 3), (1, 1), (1, 1), 1), ((7, 7, 9), (3, 3), (1, 1), (1, 1), 1)),
    # Several outputs of an input channel; channels left over from fours.
    *(((size, size, 8), (3, 3), (1, 1), (1, 1), multiplier) for size, multiplier in product((3, 8), (2, 4))),
    *(((6, 6, channels), (3, 3), (1, 1), (1, 1), 1) for channels in (1, 3, 7, 18)),
    *(((6, 6, channels), (5, 5), (1, 1), (1, 1), multiplier) for channels, multiplier in ((1, 3), (5, 1), (7, 2))),
    *(((9, 9, 3), (3, 3), (2, 2), (1, 1), 2), ((9, 7, 6), (4, 4), (2, 2), (1, 1), 1)),
    # Several bands of rows, an odd column or row at the end, a few outputs.
    *(((32, 32, 16), (3, 3), (1, 1), (1, 1), 1), ((32, 32, 16), (3, 3), (2, 2), (1, 1), 1)),
    *(((32, 32, 16), (5, 5), (1, 1), (1, 1), 1), ((40, 33, 6), (3, 3), (1, 1), (1, 1), 1)),
    *(((48, 40, 5), (5, 5), (1, 1), (1, 1), 1), ((47, 33, 8), (3, 3), (2, 2), (1, 1), 1)),
    *(((11, 9, 16), (3, 3), (1, 1), (1, 1), 1), ((5, 5, 18), (3, 3), (1, 1), (1, 1), 1)),
    *(((5, 5, 6), (5, 5), (1, 1), (1, 1), 1), ((5, 9, 12), (3, 3), (2, 2), (1, 1), 1)),
    # Kernels of one row or column, long ones, even ones.
    *(((25, 5, 16), kernel, (1, 1), (1, 1), 1) for kernel in ((1, 3), (3, 1), (3, 5), (9, 1), (2, 2), (4, 3))),
    *(((20, 16, 8), kernel, (1, 1), (1, 1), 1) for kernel in ((5, 1), (1, 5), (7, 7), (1, 7), (3, 1))),
    *(((20, 16, 8), (1, 3), (1, 2), (1, 1), 1), ((20, 16, 8), (1, 5), (1, 2), (1, 1), 1)),
    *(((20, 16, 8), (5, 5), (1, 5), (1, 1), 1), ((20, 16, 8), (3, 1), (2, 1), (1, 1), 1)),
    *(((20, 5, 20), (5, 5), (1, 5), (1, 1), 1), ((40, 1, 16), (3, 1), (1, 1), (1, 1), 1)),
    # Taps that lie apart.
    *(((40, 1, 16), (3, 1), (1, 1), (dilation, 1), 1) for dilation in (2, 4, 8)),
    *(((20, 16, 8), (3, 3), (1, 1), dilation, 1) for dilation in ((2, 2), (2, 1), (1, 2), (4, 4))),
    *(((1, 40, 10), (1, 3), (1, 1), (1, 4), 1), ((12, 10, 7), (5, 5), (1, 1), (2, 2), 1)),
    # Kernel 1: what a BatchNorm leaves, and the grouped convolutions of attention condensers.
    *(((5, 6, channels), (1, 1), (1, 1), (1, 1), multiplier) for channels, multiplier in product((4, 7, 16), (1, 2))),
    *(((*size, channels), (1, 1), (1, 1), (1, 1), 1) for size, channels in product(((1, 1), (12, 47)), (6, 15))),
    *(((25, 5, 15), (1, 1), (1, 1), (1, 1), 1), ((12, 3, 9), (1, 1), (1, 1), (1, 1), 2)),
)
"""Input, kernel, stride, dilation, outputs per input channel."""


def _dense() -> Iterator[Graph]:
    for index, (inputs, units) in enumerate(product((3, 4, 15, 16, 38, 64, 126, 256), (1, 2, 4, 7, 10, 35))):
        yield repeated((1, 1, inputs), partial(_dense_layer, units=units, activation=BOTH[index % 2]))
    for shape, units in (((4, 4, 10), 12), ((5, 5, 7), 17)):
        yield repeated(shape, partial(_dense_layer, units=units, activation=NONE))


def _weights_of_4_bits() -> Iterator[Graph]:
    layers = (
        *(((5, 7, channels), filters) for channels, filters in product((3, 4, 8, 16, 33, 64, 128), (1, 4, 7, 48))),
        *(((size, size, 32), 24) for size in (1, 2, 3, 10)),
    )
    for index, (shape, filters) in enumerate(layers):
        yield repeated(shape, partial(_conv, filters=filters, activation=BOTH[index % 2], weight_bits=4))
    for index, (inputs, units) in enumerate(product((3, 4, 15, 16, 38, 64, 126, 256), (1, 2, 4, 7, 10, 35))):
        yield repeated((1, 1, inputs), partial(_dense_layer, units=units, activation=BOTH[index % 2], weight_bits=4))


def _pooling() -> Iterator[Graph]:
    for shape, window, stride, padding in _POOLS:
        yield repeated(shape, partial(_max_pool, window=window, stride=stride, padding=padding))
        yield repeated(shape, partial(_avg_pool, window=window, stride=stride, padding=padding))
    # Global averages: a whole image, one row of it, one column.
    for height, width, channels in ((8, 8, 64), (25, 5, 32), (5, 5, 7), (12, 3, 38), (20, 20, 9), (1, 40, 16)):
        for window in ((height, width), (height, 1), (1, width)):
            layer = partial(_avg_pool, window=window, stride=window, padding=Padding.VALID)
            yield repeated((height, width, channels), layer)


_POOLS: Final[tuple[tuple[Shape, Pair, Pair, Padding], ...]] = (
    *(
        (shape, window, window, Padding.SAME)
        for shape in ((4, 4, 32), (6, 5, 12), (8, 8, 3), (12, 12, 16), (5, 5, 64), (13, 9, 7), (24, 5, 10))
        for window in ((2, 2), (3, 2), (3, 1), (1, 3), (3, 3), (4, 4))
    ),
    # Windows that overlap, with and without padding.
    *(
        ((13, 12, channels), (3, 3), (stride, stride), padding)
        for channels, stride, padding in product((5, 16), (1, 2), (Padding.SAME, Padding.VALID))
    ),
    *(((10, 10, 9), (5, 5), (1, 1), Padding.SAME), ((25, 5, 20), (3, 3), (2, 2), Padding.SAME)),
    *(((1, 1, 30), (2, 2), (2, 2), Padding.SAME), ((2, 2, 4), (2, 2), (2, 2), Padding.SAME)),
)
"""Input, window, stride, padding."""


def _element_wise() -> Iterator[Graph]:
    for shape in ((2, 2, 4), (4, 4, 32), (6, 5, 12), (8, 8, 3), (12, 12, 16), (5, 5, 64), (7, 3, 9), (1, 1, 6)):
        yield repeated(shape, lambda builder, x: builder.sigmoid(x))
        height, width, channels = shape
        for size in ((2 * height, 2 * width), (2 * height + 1, width), (height, 3 * width)):
            yield repeated(shape, partial(_upsample, size=size))
        if channels <= 32:
            yield repeated(shape, lambda builder, x: builder.softmax(x))
    for classes in (2, 10, 12, 35):
        yield repeated((1, 1, classes), lambda builder, x: builder.softmax(x))
    for index, (shape, size) in enumerate(_OPERANDS):
        yield repeated(shape, partial(_add, size=size, activation=BOTH[index % 2]))
        yield repeated(shape, partial(_mul, size=size))


_OPERANDS: Final[tuple[tuple[Shape, Pair], ...]] = (
    # Of the output's own size, so that all is one run.
    *(
        (shape, shape[:2])
        for shape in ((2, 2, 4), (4, 4, 32), (6, 5, 12), (8, 8, 3), (12, 12, 16), (5, 5, 64), (1, 1, 15), (9, 9, 1))
    ),
    # Upsampled by odd and even factors, and repeated.
    *(((5, 3, channels), (10, 6)) for channels in (1, 4, 7, 24)),
    *(((7, 4, channels), (13, 7)) for channels in (3, 8, 15)),
    *(((3, 12, channels), (9, 47)) for channels in (2, 10)),
    *(((1, 1, channels), (9, 8)) for channels in (6, 12)),
    *(((8, 1, channels), (8, 9)) for channels in (4, 10)),
    *(((1, 9, channels), (8, 9)) for channels in (5, 16)),
)
"""Shape of an Add's or Mul's two operands, and the height and width to which the kernel resizes both."""


def _conv(
    builder: GraphBuilder,
    x: str,
    filters: int,
    activation: Activation,
    kernel: Pair = (1, 1),
    stride: Pair = (1, 1),
    dilation: Pair = (1, 1),
    weight_bits: int = 8,
) -> str:
    return builder.conv(x, filters, kernel, stride, dilation=dilation, activation=activation, weight_bits=weight_bits)


def _depthwise_conv(
    builder: GraphBuilder, x: str, kernel: Pair, stride: Pair, dilation: Pair, multiplier: int, activation: Activation
) -> str:
    return builder.depthwise(x, kernel, stride, dilation=dilation, multiplier=multiplier, activation=activation)


def _dense_layer(builder: GraphBuilder, x: str, units: int, activation: Activation, weight_bits: int = 8) -> str:
    return builder.dense(x, units, activation, weight_bits=weight_bits)


def _max_pool(builder: GraphBuilder, x: str, window: Pair, stride: Pair, padding: Padding) -> str:
    return builder.max_pool(x, window, stride, padding)


def _avg_pool(builder: GraphBuilder, x: str, window: Pair, stride: Pair, padding: Padding) -> str:
    return builder.avg_pool(x, window, stride, padding)


def _upsample(builder: GraphBuilder, x: str, size: Pair) -> str:
    return builder.upsample(x, size)


def _add(builder: GraphBuilder, x: str, size: Pair, activation: Activation) -> str:
    return builder.add(builder.upsample(x, size), builder.upsample(x, size), activation)


def _mul(builder: GraphBuilder, x: str, size: Pair) -> str:
    return builder.mul(builder.upsample(x, size), builder.upsample(x, size))
