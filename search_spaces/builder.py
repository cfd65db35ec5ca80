"""Writes graphs: a method per operation, tensors named by position."""

from __future__ import annotations

from search_spaces.frontend import FrontEnd
from search_spaces.geometry import Padding
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

Size = int | Pair


def pair(size: Size) -> Pair:
    """A square (height, width) from one number, a pair as it is."""
    return (size, size) if isinstance(size, int) else size


class GraphBuilder:
    """Appends operations; each method returns the name of the tensor that it wrote.

    ``builder.input`` names the input. ``shape(name)`` tells a tensor's (height, width, channels) so far.
    """

    input = INPUT

    def __init__(self, input_shape: Shape, frontend: FrontEnd | None = None) -> None:
        self.input_shape = input_shape
        self.frontend = frontend
        self._ops: list[Op] = []
        self._shapes: dict[str, Shape] = {INPUT: input_shape}

    def shape(self, name: str) -> Shape:
        return self._shapes[name]

    def build(self, name: str = "") -> Graph:
        """The graph; raises NasError where the operations do not make one."""
        return Graph(self.input_shape, tuple(self._ops), name, self.frontend)

    def _add(self, op: Op) -> str:
        self._shapes[op.output] = op.output_shape([self._shapes[n] for n in op.inputs])
        self._ops.append(op)
        return op.output

    def _name(self, prefix: str) -> str:
        return f"{prefix}{len(self._ops)}"

    def conv(
        self,
        x: str,
        filters: int,
        kernel: Size = 1,
        stride: Size = 1,
        *,
        dilation: Size = 1,
        padding: Padding = Padding.SAME,
        activation: Activation = Activation.RELU,
        weight_bits: int = 8,
    ) -> str:
        return self._add(
            Conv2D(
                inputs=(x,),
                output=self._name("conv"),
                filters=filters,
                kernel=pair(kernel),
                stride=pair(stride),
                dilation=pair(dilation),
                padding=padding,
                activation=activation,
                weight_bits=weight_bits,
            )
        )

    def depthwise(
        self,
        x: str,
        kernel: Size = 3,
        stride: Size = 1,
        *,
        multiplier: int = 1,
        dilation: Size = 1,
        padding: Padding = Padding.SAME,
        activation: Activation = Activation.RELU,
    ) -> str:
        return self._add(
            DepthwiseConv2D(
                inputs=(x,),
                output=self._name("depthwise"),
                multiplier=multiplier,
                kernel=pair(kernel),
                stride=pair(stride),
                dilation=pair(dilation),
                padding=padding,
                activation=activation,
            )
        )

    def dense(self, x: str, units: int, activation: Activation = Activation.NONE, *, weight_bits: int = 8) -> str:
        return self._add(
            FullyConnected(
                inputs=(x,), output=self._name("dense"), units=units, activation=activation, weight_bits=weight_bits
            )
        )

    def max_pool(self, x: str, kernel: Size, stride: Size, padding: Padding = Padding.SAME) -> str:
        return self._add(
            MaxPool(
                inputs=(x,), output=self._name("maxpool"), kernel=pair(kernel), stride=pair(stride), padding=padding
            )
        )

    def avg_pool(self, x: str, kernel: Size, stride: Size, padding: Padding = Padding.SAME) -> str:
        return self._add(
            AvgPool(
                inputs=(x,), output=self._name("avgpool"), kernel=pair(kernel), stride=pair(stride), padding=padding
            )
        )

    def global_avg_pool(self, x: str) -> str:
        height, width, _ = self._shapes[x]
        return self.avg_pool(x, (height, width), (height, width), Padding.VALID)

    def upsample(self, x: str, size: Pair) -> str:
        return self._add(UpsampleNearest(inputs=(x,), output=self._name("upsample"), size=size))

    def add(self, a: str, b: str, activation: Activation = Activation.NONE) -> str:
        return self._add(Add(inputs=(a, b), output=self._name("add"), activation=activation))

    def mul(self, a: str, b: str, activation: Activation = Activation.NONE) -> str:
        return self._add(Mul(inputs=(a, b), output=self._name("mul"), activation=activation))

    def scale(self, x: str) -> str:
        return self._add(Scale(inputs=(x,), output=self._name("scale")))

    def sigmoid(self, x: str) -> str:
        return self._add(Sigmoid(inputs=(x,), output=self._name("sigmoid")))

    def softmax(self, x: str) -> str:
        return self._add(Softmax(inputs=(x,), output=self._name("softmax")))
