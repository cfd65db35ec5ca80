"""Our reading of the report's VGG-style network."""

from __future__ import annotations

from itertools import product

from search_spaces import network


def params(channels: int, blocks: int, dense: int) -> int:
    """Parameters of ``blocks`` pairs of 3x3 convolutions, each halving 32x32 and doubling channels, and two denses."""
    total, before, size = 0, 3, 32
    for block in range(blocks):
        width = channels << block
        total += width * (9 * before + 1) + width * (9 * width + 1)
        before, size = width, size // 2
    return total + dense * (size * size * before + 1) + 10 * (dense + 1)


def test_layers_and_counts() -> None:
    graph = network("vgg-cifar")
    block = ["Conv2D", "Conv2D", "MaxPool"]
    assert [op.kind for op in graph.ops] == [*block * 3, "FullyConnected", "FullyConnected"]
    assert graph.shapes["maxpool8"] == (4, 4, 256)
    # 1,145,408 in the convolutions, (4,096 + 1) * 512 and 513 * 10 in the dense layers
    assert graph.params == params(64, 3, 512) == 1_145_408 + 2_097_664 + 5_130


def test_it_is_the_reading_nearest_to_the_report() -> None:
    readings = product((16, 32, 64, 128), (2, 3, 4, 5), (64, 128, 256, 512, 1_024, 2_048))
    nearest = min(readings, key=lambda reading: abs(params(*reading) - 3_200_000))
    assert nearest == (64, 3, 512)
