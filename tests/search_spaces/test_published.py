"""Published networks have the counts that their sources give."""

from __future__ import annotations

import pytest

from search_spaces import NasError, network, network_names, published_network


def test_mlperf_keyword_spotting() -> None:
    graph = network("mlperf-kws-dscnn")
    assert graph.input_shape == (49, 10, 1)
    assert graph.output_shape == (1, 1, 12)
    assert graph.macs == 2_656_768  # as MLPerf Tiny's submitters count
    # conv 64*(40+1), four blocks of 64*(9+1) and 64*(64+1), dense 12*(64+1)
    assert graph.params == 2_624 + 4 * (640 + 4_160) + 780
    assert graph.shapes["conv0"] == (25, 5, 64)


def test_mlperf_image_classification() -> None:
    graph = network("mlperf-ic-resnet8")
    assert graph.input_shape == (32, 32, 3)
    assert graph.macs == 12_501_632
    # 77,360 weights and 346 biases; the published 78 k count BatchNorm's four numbers per channel unfolded.
    assert graph.params == 77_360 + 346


def test_cifar_lite_has_the_reported_size() -> None:
    graph = network("cifar-lite")
    assert graph.input_shape == (32, 32, 3)
    assert graph.params == pytest.approx(160_000, rel=0.05)
    assert {op.kind for op in graph.ops} == {"Conv2D", "DepthwiseConv2D", "AvgPool", "FullyConnected"}


def test_names() -> None:
    assert network_names() == sorted(network_names())
    assert all(network(name).name == name and published_network(name).source for name in network_names())
    with pytest.raises(NasError, match="'resnet8' is unknown; did you mean 'mlperf-ic-resnet8'"):
        network("resnet8")
