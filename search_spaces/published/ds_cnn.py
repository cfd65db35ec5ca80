"""Published networks of the DS-CNN family."""

from __future__ import annotations

from search_spaces.ds_cnn import STAGES, DsCnn
from search_spaces.graph import Graph
from search_spaces.ops import Shape
from search_spaces.published.registry import Claims, published
from search_spaces.space import Value


def ds_cnn_choices(
    stem: tuple[str, int, int], stages: list[tuple[int, int, int, int]], *, residual: bool = False, head: int = 0
) -> dict[str, Value]:
    """Choices of the DS-CNN space from (kernel, stride, width) and a list of (depth, width, kernel, stride)."""
    values: dict[str, Value] = {"stem_kernel": stem[0], "stem_stride": stem[1], "stem_width": stem[2]}
    absent = (0, stages[-1][1], 3, 1)
    for stage in range(1, STAGES + 1):
        row = stages[stage - 1] if stage <= len(stages) else absent
        for key, value in zip(("depth", "width", "kernel", "stride"), row, strict=True):
            values[f"stage{stage}_{key}"] = value
    return values | {"residual": residual, "head": head}


def _ds_cnn(input_shape: Shape, classes: int, choices: dict[str, Value]) -> Graph:
    return DsCnn(input_shape, classes).build(choices)


@published(
    "ds-cnn-s",
    space="ds_cnn",
    source="DS-CNN-S of Hello Edge (Zhang et al., 2017, arXiv:1711.07128), 49x10 MFCC, 12 classes; "
    "the graph is that of mlperf-kws-dscnn",
    claims=Claims(
        macs=2_700_000,
        note="The paper prints 5.4 M operations, two to a MAC, and 38.6 KB of memory: our 22,604 parameters and the "
        "16,000 bytes of the two largest tensors, a byte each. It reports 94.4 % on Speech Commands v1.",
    ),
)
@published(
    "mlperf-kws-dscnn",
    space="ds_cnn",
    source="MLPerf Tiny keyword spotting (Banbury et al., 2021, arXiv:2106.07597): DS-CNN-S of Hello Edge, 12 classes",
    claims=(
        Claims(params=22_600, macs=2_660_000, note="As MLPerf Tiny's submitters count."),
        Claims(params=24_908, counting="keras-total", source="Keras's summary of the reference model"),
    ),
)
def _ds_cnn_s() -> Graph:
    return _ds_cnn((49, 10, 1), 12, ds_cnn_choices(("10x4", 2, 64), [(4, 64, 3, 1)]))


@published(
    "cifar-lite",
    space="ds_cnn",
    source="a reading of a report's depthwise-separable CIFAR-10 network: it gives about 160 k parameters, no layers",
    claims=Claims(params=160_000, note="The report gives the count alone, and 86.7 %."),
)
def _cifar_lite() -> Graph:
    return _ds_cnn(
        (32, 32, 3),
        10,
        ds_cnn_choices(("3x3", 1, 32), [(1, 64, 3, 1), (2, 96, 3, 2), (2, 160, 3, 2), (2, 224, 3, 2)]),
    )
