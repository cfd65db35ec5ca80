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


@register_space
class DsCnn(SearchSpace):
    """Stem kernel, stride and width; per stage depth, width, kernel and stride; residuals; final pointwise.

    A stage is ``depth`` blocks of a depthwise and a pointwise convolution, both with ReLU; its first block carries the
    stride. A stage of depth 0 is absent, so several vectors may build one network. ``residual`` adds a block's input
    to its output wherever the two have one shape. ``head`` is the width of a pointwise convolution before the global
    average pool, 0 for none.
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
        return [*rows, Choice("residual", (False, True)), Choice("head", (0, 32, 64, 128, 256))]

    def layers(self, builder: GraphBuilder, choices: Mapping[str, Value]) -> None:
        number = {name: value for name, value in choices.items() if isinstance(value, int)}
        kernel = STEM_KERNELS[str(choices["stem_kernel"])]
        x = builder.conv(builder.input, number["stem_width"], kernel, number["stem_stride"])
        for stage in range(1, STAGES + 1):
            for block in range(number[f"stage{stage}_depth"]):
                x = _block(
                    builder,
                    x,
                    width=number[f"stage{stage}_width"],
                    kernel=number[f"stage{stage}_kernel"],
                    stride=number[f"stage{stage}_stride"] if block == 0 else 1,
                    residual=bool(choices["residual"]),
                )
        if number["head"]:
            x = builder.conv(x, number["head"])
        builder.dense(builder.global_avg_pool(x), self.classes)


def _block(builder: GraphBuilder, x: str, *, width: int, kernel: int, stride: int, residual: bool) -> str:
    skip = residual and stride == 1 and builder.shape(x)[2] == width
    y = builder.depthwise(x, kernel, stride)
    y = builder.conv(y, width, activation=Activation.NONE if skip else Activation.RELU)
    return builder.add(x, y, Activation.RELU) if skip else y
