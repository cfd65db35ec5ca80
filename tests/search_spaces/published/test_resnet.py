"""ResNet-8 has the counts that MLPerf Tiny gives."""

from __future__ import annotations

import pytest

from search_spaces import network


@pytest.mark.parametrize("name", ["resnet-8", "mlperf-ic-resnet8"])
def test_image_classification(name: str) -> None:
    graph = network(name)
    assert graph.input_shape == (32, 32, 3)
    assert graph.macs == 12_501_632
    assert graph.params == 77_360 + 346  # weights and biases
    # Keras's total: BatchNorm's four numbers per channel unfolded, after all but the two projections.
    assert graph.params + 4 * (16 + 2 * 16 + 2 * 32 + 2 * 64) == 78_666
