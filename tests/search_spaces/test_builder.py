"""The builder writes the operations it is asked for."""

from __future__ import annotations

from search_spaces import Activation, AvgPool, Conv2D, GraphBuilder, Padding


def test_every_method_appends_its_operation() -> None:
    b = GraphBuilder((8, 6, 4))
    x = b.conv(b.input, 8, 3, (2, 1), dilation=1, activation=Activation.RELU6)
    x = b.depthwise(x, 3, multiplier=2)
    x = b.max_pool(x, 2, 2)
    low = b.avg_pool(x, 2, 2)
    x = b.mul(x, b.sigmoid(b.upsample(low, b.shape(x)[:2])))
    x = b.add(x, b.conv(x, 1))
    x = b.softmax(b.dense(b.global_avg_pool(x), 5))
    graph = b.build("all")
    assert [op.kind for op in graph.ops] == [
        "Conv2D",
        "DepthwiseConv2D",
        "MaxPool",
        "AvgPool",
        "UpsampleNearest",
        "Sigmoid",
        "Mul",
        "Conv2D",
        "Add",
        "AvgPool",
        "FullyConnected",
        "Softmax",
    ]
    assert graph.output == x
    assert graph.output_shape == (1, 1, 5)
    stem = graph.ops[0]
    assert isinstance(stem, Conv2D)
    assert (stem.kernel, stem.stride, stem.activation) == ((3, 3), (2, 1), Activation.RELU6)
    pooled = graph.ops[9]
    assert isinstance(pooled, AvgPool)
    assert (pooled.kernel, pooled.padding) == ((2, 3), Padding.VALID)
