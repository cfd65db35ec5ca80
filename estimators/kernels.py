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
    "pointwise_s8",
    "pointwise_s4",
    "depthwise_conv2d_s8",
    "depthwise3_s8",
    "channelwise_s8",
    "fully_connected_s8",
    "fully_connected_s4",
    "max_pool_s8",
    "avg_pool_s8",
    "upsample_nearest_s8",
    "add_s8",
    "mul_s8",
    "lookup_s8",
    "softmax_s8",
]
"""A kernel's name: its C function. Its files are those of ``SOURCES_OF``, else ``firmware/kernels/<kernel>.c``."""

KERNELS: Final[tuple[Kernel, ...]] = get_args(Kernel)

Term = Literal[
    "macs",
    "lone_macs",
    "taps",
    "runs",
    "outputs",
    "groups",
    "pixels",
    "calls",
    "tiles",
    "columns",
    "channels",
    "copies",
    "words",
    "lone_words",
    "strips",
    "moved",
    "signed_tiles",
    "signed_outputs",
    "weights",
    "rows",
    "pairs",
    "singles",
    "turns",
    "lone_taps",
    "lone_turns",
    "lone_outputs",
    "word_runs",
    "lone_runs",
    "padded_words",
    "cut_runs",
    "fills",
    "fill_runs",
    "moved_runs",
    "offsets",
    "short_turns",
    "inputs",
    "chunks",
]
"""What a kernel's cycles are counted from; ``estimators.cycles`` says what each means."""

TERMS_OF: Final[dict[Kernel, tuple[Term, ...]]] = {
    "conv2d_s8": (
        *("macs", "runs", "chunks", "signed_outputs", "groups", "lone_macs", "lone_outputs", "tiles"),
        *("words", "rows", "padded_words", "pixels", "lone_words", "lone_runs", "word_runs", "cut_runs"),
        *("fill_runs", "copies", "taps", "fills", "calls"),
    ),
    "pointwise_s8": (
        *("macs", "runs", "chunks", "signed_outputs", "groups", "lone_macs", "lone_outputs"),
        *("words", "word_runs", "lone_words", "tiles", "calls"),
    ),
    "pointwise_s4": (
        *("macs", "runs", "signed_outputs", "groups", "lone_macs", "lone_outputs"),
        *("taps", "words", "word_runs", "lone_words", "tiles", "calls"),
    ),
    "depthwise_conv2d_s8": (
        *("taps", "tiles", "signed_tiles", "columns", "channels", "weights", "rows", "groups", "copies", "word_runs"),
        *("lone_words", "lone_runs", "strips", "fills", "fill_runs", "moved", "moved_runs", "offsets", "calls"),
    ),
    "depthwise3_s8": (
        *("tiles", "signed_tiles", "pairs", "singles", "columns", "runs", "channels", "groups", "copies", "word_runs"),
        *("lone_words", "lone_runs", "strips", "fills", "fill_runs", "moved", "calls"),
    ),
    "channelwise_s8": ("outputs", "signed_outputs", "channels", "calls"),
    "fully_connected_s8": (
        *("macs", "pairs", "lone_macs", "word_runs", "taps", "turns", "outputs", "groups", "inputs", "calls"),
    ),
    "fully_connected_s4": (
        *("macs", "pairs", "lone_macs", "word_runs", "taps", "turns", "words", "lone_taps"),
        *("outputs", "groups", "calls"),
    ),
    "max_pool_s8": (
        *("pairs", "singles", "turns", "short_turns", "groups", "word_runs"),
        *("lone_taps", "lone_turns", "lone_outputs", "lone_runs", "columns", "pixels", "rows", "calls"),
    ),
    "avg_pool_s8": (
        *("pairs", "singles", "turns", "short_turns", "groups", "outputs", "word_runs"),
        *("lone_taps", "lone_turns", "lone_outputs", "lone_runs", "columns", "pixels", "rows", "calls"),
    ),
    "upsample_nearest_s8": ("words", "word_runs", "lone_outputs", "pixels", "rows", "calls"),
    "add_s8": ("words", "word_runs", "lone_outputs", "runs", "rows", "calls"),
    "mul_s8": ("words", "word_runs", "lone_outputs", "runs", "rows", "calls"),
    "lookup_s8": ("outputs", "calls"),
    "softmax_s8": ("outputs", "pixels", "calls"),
}
"""The terms that each kernel's cycles are made of, innermost loop first."""

_ONE_WAY: Final[dict[bool, dict[Kernel, frozenset[Term]]]] = {
    True: {"depthwise3_s8": frozenset({"tiles", "signed_tiles"})},
    False: {
        "conv2d_s8": frozenset({"chunks"}),
        "pointwise_s8": frozenset({"chunks"}),
        "depthwise3_s8": frozenset({"pairs", "singles"}),
        "fully_connected_s8": frozenset({"inputs"}),
    },
}
"""Terms of kernels that only cores with the Cortex-M's DSP extension (True), or only those without, spend cycles on."""


def terms_of(kernel: Kernel, dsp: bool) -> tuple[Term, ...]:
    """The terms that a kernel's cycles are made of on a core with the Cortex-M's DSP extension or on one without."""
    others = _ONE_WAY[not dsp].get(kernel, frozenset())
    return tuple(term for term in TERMS_OF[kernel] if term not in others)


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


SOURCES_OF: Final[dict[Kernel, tuple[str, ...]]] = {
    "conv2d_s8": ("conv2d_s8.c", "matmul_s8.c", "matmul_common.c"),
    "pointwise_s8": ("pointwise_s8.c", "matmul_s8.c", "matmul_common.c"),
    "pointwise_s4": ("pointwise_s4.c", "matmul_s4.c", "matmul_common.c"),
    "add_s8": ("add_s8.c", "add_run_s8.c"),
    "depthwise_conv2d_s8": ("depthwise_conv2d_s8.c", "depthwise_planes.c"),
    "depthwise3_s8": ("depthwise3_s8.c", "depthwise_planes.c"),
    "mul_s8": ("mul_s8.c", "mul_run_s8.c"),
}
"""The C files in ``firmware/kernels`` of kernels that are more than ``<kernel>.c``."""


SCALAR_SOURCES: Final[dict[str, str]] = {
    "matmul_s8.c": "matmul_scalar.c",
    "depthwise3_s8.c": "depthwise3_scalar.c",
    "matmul_s4.c": "matmul_s4_scalar.c",
    "matmul_common.c": "matmul_common_scalar.c",
    "fully_connected_s8.c": "fully_connected_scalar.c",
}
"""C files that cores without the Cortex-M's DSP extension get in place of others; weights lie in another order."""


def sources_of(kernel: Kernel, dsp: bool = True) -> tuple[str, ...]:
    """The C files of a kernel for a core with the Cortex-M's DSP extension or for one without."""
    files = SOURCES_OF.get(kernel, (f"{kernel}.c",))
    return files if dsp else tuple(dict.fromkeys([SCALAR_SOURCES.get(file, file) for file in files]))


def all_sources(dsp: bool = True) -> tuple[str, ...]:
    """The C files of all kernels for such a core; one that several share is in a program once."""
    return tuple(dict.fromkeys(file for kernel in KERNELS for file in sources_of(kernel, dsp)))


SOURCES: Final[tuple[str, ...]] = tuple(dict.fromkeys((*all_sources(True), *all_sources(False))))
"""All C files of all kernels for all cores."""


def kernel_of(op: Op) -> Kernel:
    """The kernel that runs ``op``; raises NasError for an operation that our firmware has no kernel for.

    A Scale needs none: it changes what bytes mean, not the bytes.
    """
    if isinstance(op, Conv2D) and op.kernel == op.stride == (1, 1):
        return "pointwise_s8" if op.weight_bits == 8 else "pointwise_s4"
    if isinstance(op, FullyConnected) and op.weight_bits == 4:
        return "fully_connected_s4"
    if isinstance(op, DepthwiseConv2D) and op.stride == (1, 1):
        if op.kernel == (1, 1):
            return "channelwise_s8"
        if op.kernel == (3, 3) and op.dilation == (1, 1):
            return "depthwise3_s8"
    try:
        return KERNEL_OF[type(op)]
    except KeyError:
        raise NasError(f"{op.kind} {op.output!r}: no kernel runs it; known are {', '.join(KERNELS)}") from None
