"""The graph's operations on torch tensors of shape (N, channels, height, width), with TFLite's geometry."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.geometry import Padding, window
from search_spaces.ops import Activation, AvgPool, Conv2D, DepthwiseConv2D, MaxPool, Pair, UpsampleNearest

Windowed = Conv2D | DepthwiseConv2D | MaxPool | AvgPool


def borders(op: Windowed, size: Pair) -> tuple[int, int, int, int]:
    """Padding (top, bottom, left, right) of ``op`` on an input of ``size`` (height, width).

    Behind the last element it is what the windows read there: nothing under VALID, where torch drops the rest too.
    """
    sides: list[int] = []
    for axis in (0, 1):
        kernel, stride, dilation = op.kernel[axis], op.stride[axis], op.dilation[axis]
        out, before = window(size[axis], kernel, stride, dilation, op.padding)
        reach = (out - 1) * stride + (kernel - 1) * dilation + 1
        sides += [before, max(reach - size[axis] - before, 0) if op.padding is Padding.SAME else 0]
    return sides[0], sides[1], sides[2], sides[3]


def pad(x: Tensor, sides: tuple[int, int, int, int], value: float) -> Tensor:
    """``x`` with ``value`` around it; ``sides`` are (top, bottom, left, right)."""
    top, bottom, left, right = sides
    return F.pad(x, (left, right, top, bottom), value=value) if any(sides) else x


def convolve(x: Tensor, op: Conv2D | DepthwiseConv2D, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolution without its activation; ``weight`` (out, in per group, kernel height, kernel width).

    torch numbers a depthwise convolution's outputs as TFLite does: channel * multiplier + m.
    """
    groups = x.shape[1] if isinstance(op, DepthwiseConv2D) else 1
    if x.shape[1] == 1:
        x, weight = _restrided(x), _restrided(weight)
    top, bottom, left, right = borders(op, (x.shape[2], x.shape[3]))
    if (top, left) == (bottom, right):  # torch pads evenly by itself, without a copy
        return F.conv2d(x, weight, bias, op.stride, (top, left), op.dilation, groups)
    return F.conv2d(pad(x, (top, bottom, left, right), 0.0), weight, bias, op.stride, 0, op.dilation, groups)


def _restrided(x: Tensor) -> Tensor:
    """``x`` of one channel with the strides of a contiguous tensor.

    One channel makes both memory formats look contiguous whatever its stride says; on channels-last strides torch 2.11
    on a CPU reads outside the tensor when a convolution's strides differ.
    """
    return x.flatten(1).view(x.shape)


def max_pool(x: Tensor, op: MaxPool) -> Tensor:
    """Greatest element of each window; padding never wins."""
    return F.max_pool2d(pad(x, borders(op, (x.shape[2], x.shape[3])), -torch.inf), op.kernel, op.stride)


def avg_pool(x: Tensor, op: AvgPool) -> Tensor:
    """Mean of the elements of each window that lie inside the input."""
    size = (x.shape[2], x.shape[3])
    if op.kernel == size and op.padding is Padding.VALID:
        return x.mean((2, 3), keepdim=True)
    sides = borders(op, size)
    total = F.avg_pool2d(pad(x, sides, 0.0), op.kernel, op.stride, divisor_override=1)
    inside = pad(torch.ones(1, 1, *size, device=x.device), sides, 0.0)
    return total / F.avg_pool2d(inside, op.kernel, op.stride, divisor_override=1)


def upsample(x: Tensor, op: UpsampleNearest) -> Tensor:
    """Row ``y`` of the output is row ``y * in // out`` of the input; columns likewise."""
    height, width = x.shape[2:]
    rows = torch.arange(op.size[0], device=x.device) * height // op.size[0]
    columns = torch.arange(op.size[1], device=x.device) * width // op.size[1]
    return x.index_select(2, rows).index_select(3, columns)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """The fused activation in real numbers."""
    if activation is Activation.RELU:
        return F.relu(x)
    if activation is Activation.RELU6:
        return F.relu6(x)
    return x


def flatten_hwc(x: Tensor) -> Tensor:
    """(N, channels, height, width) as (N, values) in the order height, width, channels."""
    return x.permute(0, 2, 3, 1).flatten(1)
