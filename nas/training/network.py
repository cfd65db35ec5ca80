"""A graph as a network that torch trains: first in floating point with BatchNorm, then folded and fake-quantised."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from firmware.int8_model import PROBABILITIES, PROBABILITY, SHARING, Quant
from firmware.quantize import Range, activation_quant, scaled_quant
from nas.training import functional as G
from nas.training.fake_quant import (
    TIE,
    double_rounding,
    quantise,
    quantise_mean,
    rescale,
    round_to,
    weight_scales,
)
from search_spaces.errors import NasError
from search_spaces.graph import Graph
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
    Scale,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

Weighted = Conv2D | DepthwiseConv2D | FullyConnected
Seen = dict[str, tuple[Tensor, Tensor]]


class Layer(nn.Module):
    """Weights, and until ``fold`` the BatchNorm, of one convolution or dense layer.

    ``weight`` has torch's layout (out, in per group, kernel height, kernel width) or (units, flattened HWC).
    """

    mean: Tensor
    variance: Tensor
    scale: Tensor | None
    momentum, epsilon = 0.1, 1e-5

    def __init__(self, op: Weighted, in_shape: tuple[int, int, int], *, norm: bool, generator: torch.Generator) -> None:
        super().__init__()
        height, width, channels = in_shape
        if isinstance(op, FullyConnected):
            shape: tuple[int, ...] = (op.units, height * width * channels)
        elif isinstance(op, DepthwiseConv2D):
            shape = (channels * op.multiplier, 1, *op.kernel)
        else:
            shape = (op.filters, channels, *op.kernel)
        self.op = op
        gain = 1.0 if op.activation is Activation.NONE else 2.0
        deviation = math.sqrt(gain / math.prod(shape[1:]))
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * deviation)
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.gamma = nn.Parameter(torch.ones(shape[0])) if norm else None
        self.register_buffer("scale", None)
        self.register_buffer("mean", torch.zeros(shape[0]) if norm else None)
        self.register_buffer("variance", torch.ones(shape[0]) if norm else None)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if isinstance(self.op, FullyConnected):
            return F.linear(G.flatten_hwc(x), weight, bias)[:, :, None, None]
        return G.convolve(x, self.op, weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        """The layer in floating point, activation included."""
        if self.gamma is None:
            y = self.linear(x, self.folded, self.bias)
        else:
            y = self.linear(x, self.weight, None)
            y = F.batch_norm(
                y, self.mean, self.variance, self.gamma, self.bias, self.training, self.momentum, self.epsilon
            )
        return G.activate(y, self.op.activation)

    def unrounded(self, x: Tensor, source: Quant, target: Quant) -> tuple[Tensor, Tensor | None]:
        """The folded layer with int8 weights and int32 bias; activation and rounding are still to come.

        Beside it what ``quantise`` has to add to magnitudes because requantisation rounds twice; where a ReLU leaves
        nothing but positive values, that is in the bias already.
        """
        folded = self.folded
        scales = weight_scales(folded)
        nudge = double_rounding(scales.flatten() * (source.scale / target.scale))
        weight = round_to(folded, scales)
        bias = round_to(self.bias, scales.flatten() * source.scale)
        if self.op.activation is Activation.NONE:
            return self.linear(x, weight, bias), nudge[:, None, None]
        return self.linear(x, weight, bias + nudge * target.scale), None

    @property
    def folded(self) -> Tensor:
        """The weights that the integers stand for."""
        return self.weight if self.scale is None else self.weight * self.scale

    @torch.no_grad()
    def fold(self) -> None:
        """Moves the BatchNorm's running statistics, scale and offset into weight and bias."""
        if self.gamma is None:
            return
        scale = self.gamma / torch.sqrt(self.variance + self.epsilon)
        self.scale = scale.reshape(-1, *[1] * (self.weight.ndim - 1)).clone()
        self.bias.sub_(self.mean * scale)
        self.gamma = None
        del self.mean, self.variance


class Factor(nn.Module):
    """The positive number that a Scale multiplies by: softplus(raw), 1 at first, learned until ``fold`` fixes it.

    The scales of all later tensors hang on it, so it does not move any more once those are what is trained for.
    """

    fixed: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(math.log(math.expm1(1.0))))
        self.register_buffer("fixed", None)

    @property
    def value(self) -> Tensor:
        """The factor, a tensor without axes."""
        return F.softplus(self.raw) if self.fixed is None else self.fixed

    @torch.no_grad()
    def fold(self) -> None:
        """Fixes the factor at what it is."""
        if self.fixed is None:
            self.fixed = F.softplus(self.raw)
            del self.raw


class Network(nn.Module):
    """The graph as a torch module: images as real numbers (N, channels, height, width) in, logits (N, values) out.

    ``forward`` computes in floating point until ``quantise_with`` was called, from then on as the integers will: every
    tensor carries real numbers that int8 stands for. A Softmax at the end is left out where ``logits`` is true, because
    losses want logits. Every convolution carries a BatchNorm until ``fold``; dense layers carry none, nor does the
    classifier, which is the last layer with weights. The factor of every Scale is learned until then.

    Random numbers come from ``generator`` alone, a CPU generator.
    """

    def __init__(self, graph: Graph, input_quant: Quant, generator: torch.Generator) -> None:
        super().__init__()
        self.graph = graph
        self.input_quant = input_quant
        weighted = [op for op in graph.ops if isinstance(op, Weighted)]
        layers = [
            Layer(
                op,
                graph.shapes[op.inputs[0]],
                norm=not isinstance(op, FullyConnected) and op is not weighted[-1],
                generator=generator,
            )
            for op in weighted
        ]
        self._modules_in_order = nn.ModuleList(layers)
        self.layers = {op.output: layer for op, layer in zip(weighted, layers, strict=True)}
        self.factors = {op.output: Factor() for op in graph.ops if isinstance(op, Scale)}
        self._factors_in_order = nn.ModuleList(self.factors.values())
        self.quant: dict[str, Quant] = {}
        self._ranged = {op.output for op in graph.ops if not isinstance(op, (*SHARING, *PROBABILITIES, Scale))}
        self._last_reader = {name: op.output for op in graph.ops for name in op.inputs}

    def fold(self) -> None:
        """Folds every BatchNorm and fixes every factor; the network computes the same in evaluation mode."""
        for layer in self.layers.values():
            layer.fold()
        for factor in self.factors.values():
            factor.fold()

    def quantise_with(self, ranges: Mapping[str, Range]) -> None:
        """Fake-quantises from now on, with the quantisation that the integer model derives from these ``ranges``.

        The network is folded: the factors of Scales, which that hangs on too, are read here and must not change later.
        Raises NasError for a range, a factor or a scale that no integer model has.
        """
        quant = {self.graph.input: self.input_quant}
        for op in self.graph.ops:
            if isinstance(op, SHARING):
                quant[op.output] = quant[op.inputs[0]]
            elif isinstance(op, PROBABILITIES):
                quant[op.output] = PROBABILITY
            elif isinstance(op, Scale):
                quant[op.output] = self._scaled(op, quant[op.inputs[0]])
            else:
                quant[op.output] = activation_quant(*ranges[op.output])
        self.quant = quant

    def _scaled(self, op: Scale, source: Quant) -> Quant:
        try:
            return scaled_quant(source, float(self.factors[op.output].value))
        except NasError as error:
            raise NasError(f"Scale {op.output!r}: {error}") from error

    def forward(self, x: Tensor, *, logits: bool = True, seen: Seen | None = None) -> Tensor:
        """Logits, or the graph's own output where ``logits`` is false.

        ``seen`` collects the least and greatest value of each tensor that ``quantise_with`` wants a range of, after its
        activation and before its rounding.
        """
        values = {self.graph.input: x}
        for op in self.graph.ops:
            if logits and isinstance(op, Softmax) and op.output == self.graph.output:
                return values[op.inputs[0]].flatten(1)
            inputs = [values[name] for name in op.inputs]
            y, nudge = self._compute(op, inputs)
            for name in op.inputs:
                if self._last_reader[name] == op.output:
                    values.pop(name, None)
            if seen is not None and op.output in self._ranged:
                seen[op.output] = _extent(y.detach(), getattr(op, "activation", Activation.NONE))
            values[op.output] = self._round(op, y, nudge) if self.quant else y
        return values[self.graph.output].flatten(1)

    def _compute(self, op: Op, inputs: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The operation in floating point; fake-quantised, its activation is left to the rounding."""
        nudge = None
        match op:
            case Conv2D() | DepthwiseConv2D() | FullyConnected():
                layer = self.layers[op.output]
                if not self.quant:
                    return layer(inputs[0]), None
                return layer.unrounded(inputs[0], self.quant[op.inputs[0]], self.quant[op.output])
            case Add():
                y = inputs[0] + inputs[1]
                nudge = torch.tensor(TIE) if self.quant else None
            case Mul():
                y = inputs[0] * inputs[1]
                if self.quant:
                    first, second, target = (self.quant[name].scale for name in (*op.inputs, op.output))
                    nudge = double_rounding(torch.tensor(first * second / target))
            case MaxPool():
                return G.max_pool(inputs[0], op), None
            case AvgPool():
                return G.avg_pool(inputs[0], op), None
            case UpsampleNearest():
                return G.upsample(inputs[0], op), None
            case Scale():
                if not self.quant:
                    return inputs[0] * self.factors[op.output].value, None
                return rescale(inputs[0], self.quant[op.inputs[0]], self.quant[op.output]), None
            case Sigmoid():
                return torch.sigmoid(inputs[0]), None
            case Softmax():
                return torch.softmax(inputs[0], 1), None
            case _:
                raise TypeError(f"operation {op.kind} cannot be trained")
        return (y if self.quant else G.activate(y, op.activation)), nudge

    def _round(self, op: Op, y: Tensor, nudge: Tensor | None) -> Tensor:
        if isinstance(op, AvgPool):
            return quantise_mean(y, self.quant[op.output])
        if isinstance(op, (*SHARING, Scale)):
            return y
        return quantise(y, self.quant[op.output], nudge)


def _extent(y: Tensor, activation: Activation) -> tuple[Tensor, Tensor]:
    if activation is Activation.NONE:
        low, high = torch.aminmax(y)
        return low, high
    high = y.max().clamp(0, 6 if activation is Activation.RELU6 else None)
    return torch.zeros_like(high), high
