"""Inverted residuals: MobileNetV2's blocks (Sandler et al., 2018, arXiv:1801.04381), opened up stage by stage.

A block widens its input by a factor, filters each channel alone, and projects back to few channels without activation:
the *linear bottleneck*, which carries the residual. ReLU6 everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation
from search_spaces.space import Choice, SearchSpace, Value, register_space

STEM_WIDTHS = (8, 12, 16, 24, 32)

STAGE_WIDTHS = (
    (4, 8, 12, 16, 24),
    (8, 12, 16, 20, 24, 32),
    (8, 12, 16, 20, 24, 32, 40, 48),
    (12, 16, 20, 24, 32, 40, 48, 64, 80, 96),
    (16, 24, 32, 40, 48, 64, 80, 96, 128),
    (16, 24, 32, 40, 48, 64, 96, 128, 160, 192),
    (24, 32, 48, 64, 96, 128, 160, 224, 320),
)
"""Widths on offer per stage: they grow with depth as MobileNetV2's do, whose own are among them.

All are multiples of 4, because the kernels' register tiles are four channels wide.
"""

STAGES = len(STAGE_WIDTHS)

MULTIPLIERS = (0.35, 0.5, 0.75, 1.0, 1.4)
"""The paper's width multipliers."""


@register_space
class InvertedResidual(SearchSpace):
    """Resolution, width multiplier, stem, per stage depth, width, kernel, stride and expansion, and the head.

    A task fixes the shape of its input, so ``resolution`` divides it: the network starts with an average pool of so
    many rows and columns, which is what a smaller picture of the same scene would be. 1 takes the input as it is.

    A stage is ``depth`` blocks, the first with the stride; a stage of depth 0 is absent, so several vectors may build
    one network. A block adds its input to its output where stride 1 and equal widths allow it. With ``expansion`` 1 it
    has no widening convolution. ``width_multiplier`` scales the widths of stem and stages (see ``scaled_width``) but
    not ``head``, the width of the pointwise convolution before the global average pool, 0 for none.
    """

    name: ClassVar[str] = "inverted_residual"
    description: ClassVar[str] = "MobileNetV2 blocks: up to seven stages of inverted residuals with linear bottlenecks"

    def choices(self) -> Sequence[Choice]:
        rows = [
            Choice("resolution", (1, 2, 3, 4)),
            Choice("width_multiplier", MULTIPLIERS),
            Choice("stem_stride", (1, 2)),
            Choice("stem_width", STEM_WIDTHS),
        ]
        for stage, widths in enumerate(STAGE_WIDTHS, start=1):
            rows += [
                Choice(f"stage{stage}_depth", (1, 2, 3, 4) if stage == 1 else (0, 1, 2, 3, 4)),
                Choice(f"stage{stage}_width", widths),
                Choice(f"stage{stage}_kernel", (3, 5)),
                Choice(f"stage{stage}_stride", (1, 2)),
                Choice(f"stage{stage}_expansion", (1, 2, 3, 4, 5, 6)),
            ]
        return [*rows, Choice("head", (0, 32, 64, 128, 256, 640, 1280))]

    def layers(self, builder: GraphBuilder, choices: Mapping[str, Value]) -> None:
        number = {name: value for name, value in choices.items() if isinstance(value, int)}
        multiplier = float(choices["width_multiplier"])
        x = builder.input
        if number["resolution"] > 1:
            x = builder.avg_pool(x, number["resolution"], number["resolution"])
        stem_width = scaled_width(number["stem_width"], multiplier)
        x = builder.conv(x, stem_width, 3, number["stem_stride"], activation=Activation.RELU6)
        for stage in range(1, STAGES + 1):
            for block in range(number[f"stage{stage}_depth"]):
                x = _block(
                    builder,
                    x,
                    width=scaled_width(number[f"stage{stage}_width"], multiplier),
                    kernel=number[f"stage{stage}_kernel"],
                    stride=number[f"stage{stage}_stride"] if block == 0 else 1,
                    expansion=number[f"stage{stage}_expansion"],
                )
        if number["head"]:
            x = builder.conv(x, number["head"], activation=Activation.RELU6)
        builder.dense(builder.global_avg_pool(x), self.classes)


def scaled_width(width: int, multiplier: float) -> int:
    """``width`` times ``multiplier``, rounded to the nearest multiple of 8, or of 4 where ``width`` is none of 8.

    Never below that 8 or 4, and one step up where rounding down would lose more than a tenth. Source:
    ``_make_divisible`` of the authors' code, https://github.com/tensorflow/models, research/slim/nets/mobilenet, which
    rounds to 8; the finer step keeps the finer widths on offer here.
    """
    divisor = 8 if width % 8 == 0 else 4
    wanted = width * multiplier
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


def _block(builder: GraphBuilder, x: str, *, width: int, kernel: int, stride: int, expansion: int) -> str:
    channels = builder.shape(x)[2]
    y = builder.conv(x, channels * expansion, activation=Activation.RELU6) if expansion > 1 else x
    y = builder.depthwise(y, kernel, stride, activation=Activation.RELU6)
    y = builder.conv(y, width, activation=Activation.NONE)
    return builder.add(x, y) if stride == 1 and channels == width else y
