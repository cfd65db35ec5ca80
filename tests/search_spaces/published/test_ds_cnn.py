"""Published DS-CNNs have the counts that their sources give."""

from __future__ import annotations

import math

import pytest

from search_spaces import network


def test_mlperf_keyword_spotting() -> None:
    graph = network("mlperf-kws-dscnn")
    assert graph.input_shape == (49, 10, 1)
    assert graph.output_shape == (1, 1, 12)
    assert graph.macs == 2_656_768  # as MLPerf Tiny's submitters count
    # conv 64*(40+1), four blocks of 64*(9+1) and 64*(64+1), dense 12*(64+1)
    assert graph.params == 2_624 + 4 * (640 + 4_160) + 780
    assert graph.shapes["conv0"] == (25, 5, 64)


def test_hello_edge() -> None:
    """38.6 KB of memory is a byte per parameter and per element of a layer's input and output, the greatest of them."""
    graph = network("ds-cnn-s")
    sizes = {name: math.prod(shape) for name, shape in graph.shapes.items()}
    activations = max(sum(sizes[name] for name in op.inputs) + sizes[op.output] for op in graph.ops)
    assert graph.params + activations == 38_604
    # 5.4 M operations: two per MAC, and one per bias and per element of the pool.
    elements = sum(size for name, size in sizes.items() if name.startswith(("conv", "depthwise", "dense")))
    assert 2 * graph.macs + elements + sizes[graph.ops[-2].inputs[0]] == pytest.approx(5.4e6, rel=0.01)


def test_cifar_lite_has_the_reported_size() -> None:
    graph = network("cifar-lite")
    assert graph.input_shape == (32, 32, 3)
    assert graph.params == pytest.approx(160_000, rel=0.05)
    assert {op.kind for op in graph.ops} == {"Conv2D", "DepthwiseConv2D", "AvgPool", "FullyConnected"}
