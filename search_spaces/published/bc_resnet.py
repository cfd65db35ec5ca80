"""Published networks of the BC-ResNet family."""

from __future__ import annotations

from search_spaces.bc_resnet import STAGE_WIDTHS, STAGES, BcResNet
from search_spaces.graph import Graph
from search_spaces.published.registry import Claims, impossible, published
from search_spaces.space import Value

Stage = tuple[int, int, int, int]
"""Depth, width, frequency stride, dilation over time: the paper's n, c, s and d."""


def bc_resnet_choices(stem: tuple[int, int, int, int], stages: list[Stage], head: int) -> dict[str, Value]:
    """Choices of the BC-ResNet space, 3-tap kernels, from the stem's (kernel, width, time and frequency stride)."""
    values: dict[str, Value] = {
        "stem_kernel": stem[0],
        "stem_width": stem[1],
        "stem_time_stride": stem[2],
        "stem_frequency_stride": stem[3],
    }
    for stage in range(1, STAGES + 1):
        absent = (0, STAGE_WIDTHS[stage - 1][0], 1, 1)
        row = stages[stage - 1] if stage <= len(stages) else absent
        for key, value in zip(("depth", "width", "frequency_stride", "dilation"), row, strict=True):
            values[f"stage{stage}_{key}"] = value
        values |= {f"stage{stage}_frequency_kernel": 3, f"stage{stage}_time_kernel": 3}
    return values | {"head": head}


impossible(
    "bc-resnet-1",
    "its sub-spectral normalisation cannot be folded into int8 convolutions; accepted is 'bc-resnet-1-bn', the "
    "variant with plain BatchNorm",
)


@published(
    "bc-resnet-1-bn",
    space="bc_resnet",
    source="variant of BC-ResNet-1 (Kim et al., 2021, arXiv:2106.04140) with BatchNorm for sub-spectral normalisation "
    "and ReLU for swish; 40 log-mel bands, 98 frames of 30 ms every 10 ms, 12 classes",
    claims=(
        Claims(
            params=7_800,
            macs=3_100_000,
            counting="bc-resnet",
            note='The paper\'s ablation "w/o SSN": 96.1 % on Speech Commands v1, 96.5 % on v2, with swish.',
        ),
        Claims(
            params=9_200,
            macs=3_100_000,
            counting="bc-resnet",
            note="BC-ResNet-1 itself: 96.6 % on v1, 96.9 % on v2. Its parameters are not ours: sub-spectral "
            "normalisation has 1,840 where BatchNorm has 368, and with them it is 9,232.",
        ),
    ),
)
def _bc_resnet_1_bn() -> Graph:
    stages = [(2, 8, 1, 1), (2, 12, 2, 2), (4, 16, 2, 4), (4, 20, 1, 8)]
    return BcResNet((98, 40, 1), 12).build(bc_resnet_choices((5, 16, 1, 2), stages, head=32))
