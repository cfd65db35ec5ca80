"""The kernels of our firmware as the estimators know them: which one runs an operation, and what it may do in place."""

from __future__ import annotations

from typing import Final, Literal, get_args

from search_spaces.errors import NasError
from search_spaces.ops import (
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Op,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

Kernel = Literal[
    "conv2d_s8",
    "depthwise_conv2d_s8",
    "fully_connected_s8",
    "max_pool_s8",
    "avg_pool_s8",
    "upsample_nearest_s8",
    "add_s8",
    "mul_s8",
    "lookup_s8",
    "softmax_s8",
]
"""A kernel's name: its C function, and its file ``firmware/kernels/<kernel>.c``."""

KERNELS: Final[tuple[Kernel, ...]] = get_args(Kernel)

Term = Literal["macs", "lone_macs", "taps", "runs", "outputs", "groups", "pixels", "calls"]
"""What a kernel's cycles are counted from; ``estimators.cycles`` says what each means."""

TERMS_OF: Final[dict[Kernel, tuple[Term, ...]]] = {
    "conv2d_s8": ("macs", "runs", "outputs", "groups", "pixels", "calls"),
    "depthwise_conv2d_s8": ("macs", "lone_macs", "runs", "outputs", "groups", "pixels", "calls"),
    "fully_connected_s8": ("macs", "outputs", "calls"),
    "max_pool_s8": ("taps", "runs", "outputs", "pixels", "calls"),
    "avg_pool_s8": ("taps", "runs", "outputs", "pixels", "calls"),
    "upsample_nearest_s8": ("outputs", "pixels", "calls"),
    "add_s8": ("outputs", "runs", "calls"),
    "mul_s8": ("outputs", "runs", "calls"),
    "lookup_s8": ("outputs", "calls"),
    "softmax_s8": ("outputs", "pixels", "calls"),
}
"""The terms that each kernel's cycles are made of, innermost loop first."""

KERNEL_OF: Final[dict[type[Op], Kernel]] = {
    Conv2D: "conv2d_s8",
    DepthwiseConv2D: "depthwise_conv2d_s8",
    FullyConnected: "fully_connected_s8",
    MaxPool: "max_pool_s8",
    AvgPool: "avg_pool_s8",
    UpsampleNearest: "upsample_nearest_s8",
    Add: "add_s8",
    Mul: "mul_s8",
    Sigmoid: "lookup_s8",
    Softmax: "softmax_s8",
}

IN_PLACE: Final[frozenset[Kernel]] = frozenset({"add_s8", "mul_s8", "lookup_s8", "softmax_s8"})
"""Kernels that may write their output exactly over an input of its shape: they read each element before writing it."""


def kernel_of(op: Op) -> Kernel:
    """The kernel that runs ``op``; raises NasError for an operation that our firmware has no kernel for.

    A Scale needs none: it changes what bytes mean, not the bytes.
    """
    try:
        return KERNEL_OF[type(op)]
    except KeyError:
        raise NasError(f"{op.kind} {op.output!r}: no kernel runs it; known are {', '.join(KERNELS)}") from None
