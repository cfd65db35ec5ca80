"""VGG-style networks: pairs of plain 3x3 convolutions between max-pools, then dense layers."""

from __future__ import annotations

from search_spaces.builder import GraphBuilder
from search_spaces.graph import Graph
from search_spaces.ops import Activation
from search_spaces.published.registry import Claims, published


@published(
    "vgg-cifar",
    space=None,
    source="our reading of a report's VGG-style CIFAR-10 network (blocks of two 3x3 convolutions and max-pooling, "
    "channels doubling, two dense layers, 3.2 M parameters): it lists no layers",
    claims=Claims(
        params=3_200_000,
        note="64, 128 and 256 channels and 512 dense units: of the powers of two from 16 channels and 64 units on, "
        "with two to five blocks, the list nearest to the report's count. It reports 83 %.",
    ),
)
def _vgg_cifar() -> Graph:
    builder = GraphBuilder((32, 32, 3))
    x = builder.input
    for filters in (64, 128, 256):
        x = builder.conv(x, filters, 3)
        x = builder.conv(x, filters, 3)
        x = builder.max_pool(x, 2, 2)
    builder.dense(builder.dense(x, 512, Activation.RELU), 10)
    return builder.build()
