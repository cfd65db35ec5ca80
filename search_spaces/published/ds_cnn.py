"""Published networks of the DS-CNN family."""

from __future__ import annotations

from search_spaces.ds_cnn import STAGES, DsCnn
from search_spaces.graph import Graph
from search_spaces.ops import Shape
from search_spaces.published.registry import published
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
    "mlperf-kws-dscnn",
    space="ds_cnn",
    source="MLPerf Tiny keyword spotting (Banbury et al., 2021, arXiv:2106.07597): DS-CNN of Hello Edge, 12 classes",
)
def _mlperf_kws() -> Graph:
    return _ds_cnn((49, 10, 1), 12, ds_cnn_choices(("10x4", 2, 64), [(4, 64, 3, 1)]))


@published(
    "cifar-lite",
    space="ds_cnn",
    source="a reading of a report's depthwise-separable CIFAR-10 network: it gives about 160 k parameters, no layers",
)
def _cifar_lite() -> Graph:
    return _ds_cnn(
        (32, 32, 3),
        10,
        ds_cnn_choices(("3x3", 1, 32), [(1, 64, 3, 1), (2, 96, 3, 2), (2, 160, 3, 2), (2, 224, 3, 2)]),
    )
