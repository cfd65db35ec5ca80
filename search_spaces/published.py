"""Published networks by name: the points of reference that users know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.builder import GraphBuilder
from search_spaces.ds_cnn import STAGES, DsCnn
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Shape
from search_spaces.space import Value, did_you_mean


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """A named network: how it is built, the space it is a point of (None when of none), and where it comes from."""

    name: str
    build: Callable[[], Graph]
    space: str | None
    source: str


_NETWORKS: dict[str, PublishedNetwork] = {}


def _published(name: str, *, space: str | None, source: str) -> Callable[[Callable[[], Graph]], Callable[[], Graph]]:
    def register(build: Callable[[], Graph]) -> Callable[[], Graph]:
        _NETWORKS[name] = PublishedNetwork(name, build, space, source)
        return build

    return register


def network_names() -> list[str]:
    """Names of all published networks, sorted."""
    return sorted(_NETWORKS)


def published_network(name: str) -> PublishedNetwork:
    """What is known of the network called ``name``; NasError where there is none."""
    if name not in _NETWORKS:
        raise NasError(f"network {name!r} is unknown{did_you_mean(name, network_names())}")
    return _NETWORKS[name]


def network(name: str) -> Graph:
    """The graph of the network called ``name``, bearing that name; NasError where there is none."""
    built = published_network(name).build()
    return Graph(built.input_shape, built.ops, name)


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


@_published(
    "mlperf-kws-dscnn",
    space="ds_cnn",
    source="MLPerf Tiny keyword spotting (Banbury et al., 2021, arXiv:2106.07597): DS-CNN of Hello Edge, 12 classes",
)
def _mlperf_kws() -> Graph:
    return _ds_cnn((49, 10, 1), 12, ds_cnn_choices(("10x4", 2, 64), [(4, 64, 3, 1)]))


@_published(
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


@_published(
    "mlperf-ic-resnet8",
    space=None,
    source="MLPerf Tiny image classification (Banbury et al., 2021, arXiv:2106.07597): ResNet-8 for CIFAR-10",
)
def _resnet8() -> Graph:
    builder = GraphBuilder((32, 32, 3))
    x = builder.conv(builder.input, 16, 3)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = builder.conv(x, filters, 3, stride)
        y = builder.conv(y, filters, 3, activation=Activation.NONE)
        if stride != 1:
            x = builder.conv(x, filters, 1, stride, activation=Activation.NONE)
        x = builder.add(x, y, Activation.RELU)
    builder.dense(builder.global_avg_pool(x), 10)
    return builder.build()
