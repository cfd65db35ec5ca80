"""BC-ResNet for sound (Kim et al., 2021, arXiv:2106.04140): broadcasted residual learning.

Most of the work is done on features averaged over frequency, one row per frame, whose result is added back to every
frequency. Here height is time (frames) and width is frequency (values per frame); the paper writes frequency first.

Three things differ from the paper. Its sub-spectral normalisation (a BatchNorm of its own for each of five frequency
bands) cannot be folded into a convolution that all bands share: here it is one BatchNorm, the paper's ablation "w/o
SSN". Its swish becomes ReLU, because there is no operation for it. And every convolution has a BatchNorm in training
and a bias after folding; in the paper the temporal pointwise convolutions and the last depthwise one have neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.ops import Activation
from search_spaces.space import Choice, SearchSpace, Value, register_space

STEM_WIDTHS = (4, 8, 12, 16, 24, 32)

STAGE_WIDTHS = (
    (4, 8, 12, 16, 24),
    (4, 8, 12, 16, 20, 24, 32),
    (8, 12, 16, 20, 24, 32, 48),
    (8, 12, 16, 20, 24, 32, 40, 48, 64),
)
"""Widths on offer per stage, growing with depth; those of BC-ResNet-1 and -2 are among them.

All are multiples of 4, because the kernels' register tiles are four channels wide.
"""

STAGES = len(STAGE_WIDTHS)

HEADS = (16, 24, 32, 48, 64, 96, 128)

TAIL_KERNEL = 5
"""Extent over time and over frequency of the depthwise convolution that ends the stages."""


@register_space
class BcResNet(SearchSpace):
    """Stem, per stage depth, width, frequency stride, kernels and dilation over time, and the head.

    The stem is a full convolution; its strides over time and frequency are choices (the paper: 1 and 2). A stage is
    ``depth`` blocks, the first with the frequency stride; a stage of depth 0 is absent, so several vectors may build
    one network. ``frequency_kernel`` and ``time_kernel`` are the extents of a block's two depthwise convolutions,
    ``dilation`` that over time. ``head`` is the width of the pointwise convolution before the global average pool.
    """

    name: ClassVar[str] = "bc_resnet"
    description: ClassVar[str] = "for sound: blocks that work on frames and are added back to every frequency"

    def choices(self) -> Sequence[Choice]:
        rows = [
            Choice("stem_kernel", (3, 5)),
            Choice("stem_time_stride", (1, 2)),
            Choice("stem_frequency_stride", (1, 2)),
            Choice("stem_width", STEM_WIDTHS),
        ]
        for stage, widths in enumerate(STAGE_WIDTHS, start=1):
            rows += [
                Choice(f"stage{stage}_depth", (1, 2, 3, 4) if stage == 1 else (0, 1, 2, 3, 4)),
                Choice(f"stage{stage}_width", widths),
                Choice(f"stage{stage}_frequency_stride", (1, 2)),
                Choice(f"stage{stage}_frequency_kernel", (3, 5)),
                Choice(f"stage{stage}_time_kernel", (3, 5)),
                Choice(f"stage{stage}_dilation", (1, 2, 4, 8)),
            ]
        return [*rows, Choice("head", HEADS)]

    def layers(self, builder: GraphBuilder, choices: Mapping[str, Value]) -> None:
        number = {name: value for name, value in choices.items() if isinstance(value, int)}
        stride = number["stem_time_stride"], number["stem_frequency_stride"]
        x = builder.conv(builder.input, number["stem_width"], number["stem_kernel"], stride)
        for stage in range(1, STAGES + 1):
            for block in range(number[f"stage{stage}_depth"]):
                x = _block(
                    builder,
                    x,
                    width=number[f"stage{stage}_width"],
                    frequency_stride=number[f"stage{stage}_frequency_stride"] if block == 0 else 1,
                    frequency_kernel=number[f"stage{stage}_frequency_kernel"],
                    time_kernel=number[f"stage{stage}_time_kernel"],
                    dilation=number[f"stage{stage}_dilation"],
                )
        x = builder.conv(_tail(builder, x), number["head"])
        builder.dense(builder.global_avg_pool(x), self.classes)


def _block(
    builder: GraphBuilder,
    x: str,
    *,
    width: int,
    frequency_stride: int,
    frequency_kernel: int,
    time_kernel: int,
    dilation: int,
) -> str:
    """y = ReLU(x + f2(x) + f1(mean of f2(x) over frequency)), the last term (frames, 1, width) repeated over frequency.

    A transition block, which changes width or frequencies, starts with a pointwise convolution and leaves out x.
    """
    transition = frequency_stride != 1 or builder.shape(x)[2] != width
    y = builder.conv(x, width) if transition else x
    y = builder.depthwise(y, (1, frequency_kernel), (1, frequency_stride), activation=Activation.NONE)
    frames = builder.depthwise(_mean_over_frequency(builder, y), (time_kernel, 1), dilation=(dilation, 1))
    frames = builder.conv(frames, width, activation=Activation.NONE)
    if transition:
        return builder.add(y, frames, Activation.RELU)
    return builder.add(builder.add(y, frames), x, Activation.RELU)


def _mean_over_frequency(builder: GraphBuilder, x: str) -> str:
    values = builder.shape(x)[1]
    return x if values == 1 else builder.avg_pool(x, (1, values), (1, values), Padding.VALID)


def _tail(builder: GraphBuilder, x: str) -> str:
    """A depthwise convolution that takes bands of up to five frequencies together and leaves the frames.

    For the paper's five frequencies it is the paper's: one band, padded over time alone. A stride as wide as the kernel
    says the same with one kind of padding, because SAME then adds none where the frequencies are a multiple of it.
    """
    band = min(TAIL_KERNEL, builder.shape(x)[1])
    return builder.depthwise(x, (TAIL_KERNEL, band), (1, band), activation=Activation.NONE)
