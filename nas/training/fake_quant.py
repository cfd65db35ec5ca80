"""Rounding as the integers will do it, inside a network that computes in floating point.

Forward passes give exactly the real numbers that int8 tensors stand for; backward passes are straight-through: the
gradient of the clamp alone. Each function is a handful of in-place passes because torch's own fake quantisation costs
some twenty times as much on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from firmware.int8_model import INT8_MAX, INT8_MIN, Quant
from firmware.quantize import WEIGHT_MAX

_TINY = torch.finfo(torch.float32).tiny

TIE = 1e-4
"""Added to magnitudes so that ties, which floats miss by 1e-5 at most, are rounded away from zero."""


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, low: int, high: int, nudge: Tensor | None) -> Tensor:
        ctx.save_for_backward(x)
        ctx.limits = (low * scale, high * scale)
        integers = x.mul(1 / scale)
        if nudge is not None:
            integers.add_(nudge if low == 0 else torch.copysign(nudge, integers))
        return integers.round_().clamp_(low, high).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(grads[0], x, *ctx.limits), None, None, None, None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero_point: int) -> Tensor:
        integers = x.mul(1 / scale).add_(zero_point)
        away = integers.sign().mul_(0.5 + TIE)
        return integers.add_(away).trunc_().sub_(zero_point).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None, None


class _Rescale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, source: float, target: float) -> Tensor:
        ctx.factor = target / source
        return x.mul(1 / source).round_().mul_(target)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.factor, None, None


class _RoundTo(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: Tensor) -> Tensor:
        return x.div(scales).round_().mul_(scales)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0], None


def weight_scales(weight: Tensor) -> Tensor:
    """Scale of each output channel (the first axis), shaped to divide ``weight``: the largest magnitude becomes 127.

    As ``firmware.quantize.weight_scales`` has it, a channel of zeros takes the largest scale of the others.
    """
    axes = tuple(range(1, weight.ndim))
    scales = weight.detach().abs().amax(axes, keepdim=True).div_(WEIGHT_MAX)
    largest = scales.max()
    substitute = torch.where(largest >= _TINY, largest, 1 / WEIGHT_MAX)
    return torch.where(scales >= _TINY, scales, substitute)


def round_to(x: Tensor, scales: Tensor) -> Tensor:
    """``x`` rounded to multiples of ``scales``, as integer weights and biases are; the gradient passes unchanged."""
    return _RoundTo.apply(x, scales)  # type: ignore[no-any-return, no-untyped-call]


def double_rounding(multiplier: Tensor) -> Tensor:
    """How much earlier than 1/2 requantisation by ``multiplier`` rounds away from zero, in steps of its output.

    It rounds twice: first to multiples of 2^-shift, where multiplier = m * 2^-shift with m in [1/2, 1), then to whole
    steps, ties away from zero. So does adding 2^-(shift + 1) to the magnitude and rounding once; without a shift to the
    right nothing is added.
    """
    exponent = torch.frexp(multiplier).exponent
    return torch.where(exponent < 0, torch.ldexp(torch.full_like(multiplier, 0.5), exponent), 0.0)


def quantise(x: Tensor, quant: Quant, nudge: Tensor | None = None) -> Tensor:
    """``x`` rounded to int8, as real numbers; no gradient where it is clamped.

    ``nudge``, in steps of the integers, is added to magnitudes before rounding (see ``double_rounding``). A ReLU comes
    for free where 0 is the least number that ``quant`` holds, a ReLU6 where 6 is the greatest besides.
    """
    low, high = INT8_MIN - quant.zero_point, INT8_MAX - quant.zero_point
    return _Activation.apply(x, quant.scale, low, high, nudge)  # type: ignore[no-any-return, no-untyped-call]


def quantise_mean(x: Tensor, quant: Quant) -> Tensor:
    """Means of int8 tensors rounded as average pooling does: the integer, zero point included, half away from zero."""
    return _Mean.apply(x, quant.scale, quant.zero_point)  # type: ignore[no-any-return, no-untyped-call]


def rescale(x: Tensor, source: Quant, target: Quant) -> Tensor:
    """The real numbers that the bytes of ``x``, which has the quantisation ``source``, stand for under ``target``.

    Both have one zero point, so no byte changes.
    """
    return _Rescale.apply(x, source.scale, target.scale)  # type: ignore[no-any-return, no-untyped-call]
