"""MobileNetV2 as a point of its space has the counts of the authors' checkpoints."""

from __future__ import annotations

import pytest

from search_spaces import InvertedResidual, network
from search_spaces.counting import count
from search_spaces.published.mobilenet import inverted_residual_choices

PAPER = [
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
]


def test_the_network() -> None:
    graph = network("mobilenetv2")
    assert (graph.input_shape, graph.output_shape) == ((224, 224, 3), (1, 1, 1_000))
    kinds = [op.kind for op in graph.ops]
    # 17 blocks, of which 16 widen, and ten keep stride and width.
    assert kinds.count("DepthwiseConv2D") == 17
    assert kinds.count("Conv2D") == 1 + 16 + 17 + 1
    assert kinds.count("Add") == 10
    assert graph.shapes[graph.ops[-2].inputs[0]] == (7, 7, 1_280)
    # torchvision's mobilenet_v2: 3,504,872 numbers, of which 2 * 17,056 are BatchNorm's; folded, one bias per channel.
    assert graph.params == 3_504_872 - 17_056
    assert graph.macs == 300_774_272


@pytest.mark.parametrize(
    ("multiplier", "size", "macs", "params"),
    # MACs and parameters in millions: the authors' table of checkpoints, research/slim/nets/mobilenet/README.md.
    [
        (1.0, 224, 300, 3.47),
        (1.0, 192, 221, 3.47),
        (1.0, 160, 154, 3.47),
        (1.0, 128, 99, 3.47),
        (1.0, 96, 56, 3.47),
        (0.75, 224, 209, 2.61),
        (0.5, 224, 97, 1.95),
        (0.35, 224, 59, 1.66),
        (0.35, 96, 11, 1.66),
    ],
)
def test_the_authors_checkpoints_are_points_too(multiplier: float, size: int, macs: int, params: float) -> None:
    choices = inverted_residual_choices((32, 2), PAPER, head=1_280, width_multiplier=multiplier)
    counts = count(InvertedResidual((size, size, 3), 1_000).build(choices), "weights-only")
    assert counts.params / 1e6 == pytest.approx(params, abs=0.011)
    assert counts.macs / 1e6 == pytest.approx(macs, abs=1)


def test_a_divided_resolution_is_a_smaller_input() -> None:
    choices = inverted_residual_choices((32, 2), PAPER, head=1_280, resolution=2)
    halved = InvertedResidual((192, 192, 3), 1_000).build(choices)
    small = InvertedResidual((96, 96, 3), 1_000).build(choices | {"resolution": 1})
    assert (halved.macs, halved.params) == (small.macs, small.params)
