"""Each counting mode against counts made by hand, and against another library's."""

from __future__ import annotations

import pytest

from search_spaces import Activation, Graph, GraphBuilder, NasError, network
from search_spaces.counting import COUNTINGS, Counts, count, tinyspeech


@pytest.fixture
def graph() -> Graph:
    """Input 4x4x1; conv 3x3 to 2 channels; grouped 1x1 to 4; BatchNorm alone; S; dense of 3."""
    builder = GraphBuilder((4, 4, 1))
    x = builder.conv(builder.input, 2, 3)
    x = builder.depthwise(x, 1, multiplier=2)
    x = builder.scale(builder.depthwise(x, 1, activation=Activation.NONE))
    builder.dense(builder.global_avg_pool(x), 3)
    return builder.build()


@pytest.mark.parametrize(
    ("mode", "params", "macs"),
    [
        # weights 18, 4, 4, 12 and biases 2, 4, 4, 3; MACs 16 * 18, 16 * 4, 16 * 4, 12
        ("exact", 38 + 13, 288 + 64 + 64 + 12),
        ("weights-only", 18 + 4 + 12, 288 + 64 + 12),
        ("tinyspeech", 18 + 4 + 12, 1_040 * (18 + 4) + 12),
        ("qtinyspeech", 18 + 4 + 12 + (2 + 4) + 4, 288 + 64 + 12),
        ("trained-batchnorm", (18 + 4) + 2 * (4 + 2) + (4 + 4) + (12 + 3), 288 + 64 + 12),
        ("keras-total", 38 + 13 + 4 * (2 + 4 + 4), 288 + 64 + 64 + 12),
    ],
)
def test_by_hand(graph: Graph, mode: str, params: int, macs: int) -> None:
    assert count(graph, mode) == Counts(params, macs)


def test_positions_are_a_parameter(graph: Graph) -> None:
    # At the 16 positions that the layers really have, it is what the weights cost.
    assert tinyspeech(graph, positions=16).macs == count(graph, "weights-only").macs


def test_keras_totals_of_the_reference_models() -> None:
    assert count(network("mlperf-ic-resnet8"), "keras-total").params == 78_666
    assert count(network("mlperf-kws-dscnn"), "keras-total").params == 24_908


def test_trained_batchnorm_is_torchs_count() -> None:
    from torchvision.models import mobilenet_v2

    theirs = sum(parameter.numel() for parameter in mobilenet_v2().parameters())
    assert count(network("mobilenetv2"), "trained-batchnorm").params == theirs == 3_504_872


def test_modes_explain_themselves() -> None:
    for mode, function in COUNTINGS.items():
        assert function.__doc__, mode
    with pytest.raises(NasError, match="counting mode 'flops' is unknown; known are exact, weights-only"):
        count(network("cifar-lite"), "flops")
