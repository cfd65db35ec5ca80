"""DS-CNN: a stem convolution, then stages of depthwise-separable blocks.

The family of Hello Edge's DS-CNN (Zhang et al., 2017, arXiv:1711.07128) and of MobileNetV1, opened up stage by stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation
from search_spaces.space import Choice, SearchSpace, Value, register_space

STAGES = 4

WIDTHS = (4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256)
"""Multiples of 4, because the kernels' register tiles are four channels wide; about evenly spaced in ratio."""

STEM_KERNELS = {"3x3": (3, 3), "5x5": (5, 5), "10x4": (10, 4)}

AS_HEIGHT = 0
"""Stride of the stem along the width that means: the same as along the height."""


@register_space
class DsCnn(SearchSpace):
    """Stem kernel, strides and width; per stage depth, width, kernel, stride and dilation; residuals; final pointwise.

    A stage is ``depth`` blocks of a depthwise and a pointwise convolution, both with ReLU; its first block carries the
    stride. A stage of depth 0 is absent, so several vectors may build one network. ``residual`` adds a block's input
    to its output wherever the two have one shape. ``head`` is the width of a pointwise convolution before the global
    average pool, 0 for none.

    ``dilation`` spreads the taps of a stage's depthwise convolutions, those of stride 2 apart: with both, every other
    row and column would never be read. ``stem_stride_width`` makes the stem's stride rectangular, as sound asks for,
    whose two axes are time (height) and frequency (width); 0 takes ``stem_stride`` for both.
    """

    name: ClassVar[str] = "ds_cnn"
    description: ClassVar[str] = "stem convolution and up to four stages of depthwise-separable blocks"

    def choices(self) -> Sequence[Choice]:
        rows = [
            Choice("stem_kernel", tuple(STEM_KERNELS)),
            Choice("stem_stride", (1, 2)),
            Choice("stem_width", WIDTHS),
        ]
        for stage in range(1, STAGES + 1):
            rows += [
                Choice(f"stage{stage}_depth", (1, 2, 3, 4) if stage == 1 else (0, 1, 2, 3, 4)),
                Choice(f"stage{stage}_width", WIDTHS),
                Choice(f"stage{stage}_kernel", (3, 5)),
                Choice(f"stage{stage}_stride", (1, 2)),
            ]
        rows += [Choice("residual", (False, True)), Choice("head", (0, 32, 64, 128, 256))]
        # Younger than runs that are kept, hence last and with defaults.
        rows += [Choice(f"stage{stage}_dilation", (1, 2), default=1) for stage in range(1, STAGES + 1)]
        return [*rows, Choice("stem_stride_width", (AS_HEIGHT, 1, 2), default=AS_HEIGHT)]

    def layers(self, builder: GraphBuilder, choices: Mapping[str, Value]) -> None:
        number = {name: value for name, value in choices.items() if isinstance(value, int)}
        stride = number["stem_stride"], number["stem_stride_width"] or number["stem_stride"]
        x = builder.conv(builder.input, number["stem_width"], STEM_KERNELS[str(choices["stem_kernel"])], stride)
        for stage in range(1, STAGES + 1):
            for block in range(number[f"stage{stage}_depth"]):
                x = _block(
                    builder,
                    x,
                    width=number[f"stage{stage}_width"],
                    kernel=number[f"stage{stage}_kernel"],
                    stride=number[f"stage{stage}_stride"] if block == 0 else 1,
                    dilation=number[f"stage{stage}_dilation"],
                    residual=bool(choices["residual"]),
                )
        if number["head"]:
            x = builder.conv(x, number["head"])
        builder.dense(builder.global_avg_pool(x), self.classes)


def _block(
    builder: GraphBuilder, x: str, *, width: int, kernel: int, stride: int, dilation: int, residual: bool
) -> str:
    skip = residual and stride == 1 and builder.shape(x)[2] == width
    y = builder.depthwise(x, kernel, stride, dilation=dilation if stride == 1 else 1)
    y = builder.conv(y, width, activation=Activation.NONE if skip else Activation.RELU)
    return builder.add(x, y, Activation.RELU) if skip else y
