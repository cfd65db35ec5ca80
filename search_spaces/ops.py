"""The operations a network is made of, with the shape, MACs and parameters of each.

Shapes are (height, width, channels). A MAC is one int8 multiply-accumulate of a convolution or dense layer, counted
at full kernel size, borders included, as published tables do. Parameters are trained numbers after folding: weights and
biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from search_spaces.errors import NasError
from search_spaces.geometry import Padding, window

Shape = tuple[int, int, int]
Pair = tuple[int, int]


class Activation(StrEnum):
    """An activation fused into the operation before it: a clamp of the output."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One step of a network: reads the tensors ``inputs``, writes the tensor ``output``."""

    arity: ClassVar[int] = 1
    inputs: tuple[str, ...]
    output: str

    @property
    def kind(self) -> str:
        return type(self).__name__

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Shape of the output for the given input shapes; raises NasError where they do not fit."""
        raise NotImplementedError

    def macs(self, shapes: Sequence[Shape], out: Shape) -> int:
        """Multiply-accumulates for the given input shapes and output shape."""
        return 0

    def params(self, shapes: Sequence[Shape], out: Shape) -> int:
        """Weights plus biases."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window(Op):
    """An operation that slides a window of ``kernel`` (height, width) over its input."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = Padding.SAME

    def _extent(self, shape: Shape) -> Pair:
        height, _ = window(shape[0], self.kernel[0], self.stride[0], self.dilation[0], self.padding)
        width, _ = window(shape[1], self.kernel[1], self.stride[1], self.dilation[1], self.padding)
        if height < 1 or width < 1:
            raise NasError(
                f"{self.kind} {self.output!r}: kernel {self.kernel} with VALID padding does not fit an input of "
                f"{shape[0]}x{shape[1]}"
            )
        return height, width


WEIGHT_BITS = (8, 4)
"""Bits that the weights of a layer may have."""


def _check_weight_bits(op: Op, bits: int) -> None:
    if bits not in WEIGHT_BITS:
        raise NasError(f"{op.kind} {op.output!r} has weight_bits {bits!r}; 8 or 4 expected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv2D(_Window):
    """Convolution over all input channels, with bias. Weights (filters, kernel height, kernel width, channels).

    ``weight_bits`` is 8, or 4 where kernel and stride are 1: weights lie in -7..7 then, and two share a byte of flash.
    """

    filters: int
    activation: Activation = Activation.NONE
    weight_bits: int = 8

    def __post_init__(self) -> None:
        _check_weight_bits(self, self.weight_bits)
        if self.weight_bits != 8 and not self.kernel == self.stride == (1, 1):
            raise NasError(
                f"{self.kind} {self.output!r} has weight_bits {self.weight_bits} with kernel {self.kernel} and stride "
                f"{self.stride}; other than 8 are possible for kernel (1, 1) and stride (1, 1) alone"
            )

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*self._extent(shapes[0]), self.filters)

    def macs(self, shapes: Sequence[Shape], out: Shape) -> int:
        return out[0] * out[1] * out[2] * self.kernel[0] * self.kernel[1] * shapes[0][2]

    def params(self, shapes: Sequence[Shape], out: Shape) -> int:
        return self.filters * (self.kernel[0] * self.kernel[1] * shapes[0][2] + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseConv2D(_Window):
    """One window per channel, ``multiplier`` outputs each, with bias.

    Output channel ``c * multiplier + m`` reads input channel ``c`` alone. Weights (kernel height, kernel width,
    channels * multiplier).
    """

    multiplier: int = 1
    activation: Activation = Activation.NONE

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*self._extent(shapes[0]), shapes[0][2] * self.multiplier)

    def macs(self, shapes: Sequence[Shape], out: Shape) -> int:
        return out[0] * out[1] * out[2] * self.kernel[0] * self.kernel[1]

    def params(self, shapes: Sequence[Shape], out: Shape) -> int:
        return out[2] * (self.kernel[0] * self.kernel[1] + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnected(Op):
    """Dense layer over the input flattened in HWC order; output (1, 1, units). Weights (units, flattened).

    ``weight_bits`` is 8, or 4: weights lie in -7..7 then, and two share a byte of flash.
    """

    units: int
    activation: Activation = Activation.NONE
    weight_bits: int = 8

    def __post_init__(self) -> None:
        _check_weight_bits(self, self.weight_bits)

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (1, 1, self.units)

    def macs(self, shapes: Sequence[Shape], out: Shape) -> int:
        return self.units * shapes[0][0] * shapes[0][1] * shapes[0][2]

    def params(self, shapes: Sequence[Shape], out: Shape) -> int:
        return self.units * (shapes[0][0] * shapes[0][1] * shapes[0][2] + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pool(_Window):
    """One value per window and channel. TFLite's pooling has no dilation: its windows could miss the input entirely."""

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        if self.dilation != (1, 1):
            raise NasError(f"{self.kind} {self.output!r} has dilation {self.dilation}; pooling knows (1, 1) alone")
        return (*self._extent(shapes[0]), shapes[0][2])


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(_Pool):
    """Greatest value of each window; padding never wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AvgPool(_Pool):
    """Mean of the elements of each window that lie inside the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsampleNearest(Op):
    """Nearest-neighbour resize to ``size``: row ``y`` reads input row ``y * in // out``, columns likewise."""

    size: Pair

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return (*self.size, shapes[0][2])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Binary(Op):
    """Element by element over two inputs; an extent of 1 is repeated along the other's."""

    arity: ClassVar[int] = 2
    activation: Activation = Activation.NONE

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        a, b = shapes
        if any(m != n and m != 1 and n != 1 for m, n in zip(a, b, strict=True)):
            raise NasError(f"{self.kind} {self.output!r}: shapes {a} and {b} neither match nor broadcast")
        return (max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Add(_Binary):
    """Sum of two tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mul(_Binary):
    """Product of two tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(Op):
    """The input times one learned positive number.

    On the device it is nothing at all: the bytes stay, their quantisation's scale is multiplied. So it counts neither
    MACs nor parameters: like a BatchNorm it is folded.
    """

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid(Op):
    """Logistic function of every element."""

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Softmax(Op):
    """Softmax over the channels of every position."""

    def output_shape(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0]


OPS: dict[str, type[Op]] = {
    op.__name__: op
    for op in (
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
}
