"""Published networks of inverted residuals."""

from __future__ import annotations

from search_spaces.graph import Graph
from search_spaces.inverted_residual import STAGE_WIDTHS, STAGES, InvertedResidual
from search_spaces.published.registry import Claims, published
from search_spaces.space import Value

Stage = tuple[int, int, int, int, int]
"""Expansion, width, depth, stride, kernel: the order of the paper's table, and the kernel."""


def inverted_residual_choices(
    stem: tuple[int, int], stages: list[Stage], *, head: int = 0, width_multiplier: float = 1.0, resolution: int = 1
) -> dict[str, Value]:
    """Choices of the inverted-residual space from the stem's (width, stride) and the stages' rows."""
    values: dict[str, Value] = {
        "resolution": resolution,
        "width_multiplier": width_multiplier,
        "stem_stride": stem[1],
        "stem_width": stem[0],
    }
    for stage in range(1, STAGES + 1):
        absent = (1, STAGE_WIDTHS[stage - 1][0], 0, 1, 3)
        row = stages[stage - 1] if stage <= len(stages) else absent
        for key, value in zip(("expansion", "width", "depth", "stride", "kernel"), row, strict=True):
            values[f"stage{stage}_{key}"] = value
    return values | {"head": head}


@published(
    "mobilenetv2",
    space="inverted_residual",
    source="MobileNetV2 1.0 for ImageNet (Sandler et al., 2018, arXiv:1801.04381), 1,000 classes",
    claims=(
        Claims(
            params=3_400_000,
            macs=300_000_000,
            counting="weights-only",
            note="The paper's 3.4 M is 3.47 M cut off: its authors' table of checkpoints prints 3.47. Without biases "
            "and BatchNorm, which ours has as one folded bias per channel.",
        ),
        Claims(
            params=3_504_872,
            macs=301_000_000,
            counting="trained-batchnorm",
            source="torchvision's mobilenet_v2, the same network",
        ),
    ),
)
def _mobilenetv2() -> Graph:
    stages = [
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 32, 3, 2, 3),
        (6, 64, 4, 2, 3),
        (6, 96, 3, 1, 3),
        (6, 160, 3, 2, 3),
        (6, 320, 1, 1, 3),
    ]
    return InvertedResidual((224, 224, 3), 1_000).build(inverted_residual_choices((32, 2), stages, head=1_280))
