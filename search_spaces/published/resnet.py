"""Residual networks of plain convolutions."""

from __future__ import annotations

from search_spaces.builder import GraphBuilder
from search_spaces.graph import Graph
from search_spaces.ops import Activation
from search_spaces.published.registry import Claims, published

_CLAIMS = (
    Claims(params=78_000, macs=12_500_000),
    Claims(params=78_666, counting="keras-total", source="Keras's summary of the reference model"),
)


@published(
    "resnet-8",
    space=None,
    source="ResNet-8 for CIFAR-10, after He et al. (2016, arXiv:1512.03385), as MLPerf Tiny has it; "
    "the graph is that of mlperf-ic-resnet8",
    claims=_CLAIMS,
)
@published(
    "mlperf-ic-resnet8",
    space=None,
    source="MLPerf Tiny image classification (Banbury et al., 2021, arXiv:2106.07597): ResNet-8 for CIFAR-10",
    claims=_CLAIMS,
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
