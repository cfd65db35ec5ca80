"""TinySpeech's networks are the paper's, are points of their space, and have the counts that can be reproduced."""

from __future__ import annotations

from itertools import combinations, pairwise, product

import pytest

from search_spaces import Activation, GraphBuilder, Value, get_space, network, published_network
from search_spaces.counting import count
from search_spaces.published.tinyspeech import (
    M_BLOCKS,
    X_BLOCKS,
    Y_BLOCKS,
    Z_BLOCKS,
    Block,
    tinyspeech_choices,
)

POINTS: dict[str, dict[str, Value]] = {
    "tinyspeech-x": tinyspeech_choices(15, X_BLOCKS, 38),
    "tinyspeech-y": tinyspeech_choices(10, Y_BLOCKS, 6),
    "tinyspeech-z": tinyspeech_choices(7, Z_BLOCKS, 17),
    "tinyspeech-m": tinyspeech_choices(9, M_BLOCKS, 40, batch_norm=False),
    "qtinyspeech-z": tinyspeech_choices(7, Z_BLOCKS[:4], 17, attention="gated", kernel=3, dense=17),
}


@pytest.mark.parametrize("name", POINTS)
def test_published_networks_are_points_of_the_space(name: str) -> None:
    graph = network(name)
    space = get_space("attention_condenser", graph.input_shape, graph.output_shape[2])
    row = space.encode(POINTS[name])
    assert space.build(space.decode(row)).digest == graph.digest
    assert published_network(name).space == "attention_condenser"


def test_blocks_are_those_that_the_paper_prints() -> None:
    wide, narrow = (30, 18, 36, 15), (20, 18, 36, 10)
    assert (*[(30, 6, 12, 15)] * 3, wide, (30, 27, 54, 15), wide) == X_BLOCKS
    assert (*[(20, 6, 12, 10)] * 3, narrow, (20, 26, 52, 10), narrow) == Y_BLOCKS
    rest = ((14, 2, 4, 7), (14, 11, 22, 7), (14, 14, 28, 7), (14, 10, 20, 7))
    assert (*[(14, 3, 6, 7)] * 2, *rest) == Z_BLOCKS
    assert M_BLOCKS == ((18, 6, 12, 9), (18, 9, 18, 9), (18, 8, 16, 9))


def test_tinyspeech_m_operation_by_operation() -> None:
    builder = GraphBuilder((49, 10, 1))
    x = builder.conv(builder.input, 9, 3)
    for width in (6, 9, 8):
        k = builder.depthwise(builder.max_pool(x, 2, 2), 1, multiplier=2)
        k = builder.depthwise(builder.conv(k, width), 1, multiplier=2)
        attention = builder.upsample(builder.conv(k, 9, activation=Activation.NONE), (49, 10))
        x = builder.add(x, builder.add(builder.scale(x), attention))
    builder.dense(builder.global_avg_pool(builder.conv(x, 40, 3)), 12)
    assert builder.build().digest == network("tinyspeech-m").digest


def test_qtinyspeech_z_operation_by_operation() -> None:
    builder = GraphBuilder((49, 10, 1))
    x = builder.conv(builder.input, 7, 3)
    for width in (3, 3, 2, 11):
        k = builder.depthwise(builder.max_pool(x, 2, 2), 3, multiplier=2)
        k = builder.depthwise(builder.conv(k, width), 3, multiplier=2)
        gate = builder.upsample(builder.sigmoid(builder.conv(k, 7, activation=Activation.NONE)), (49, 10))
        y = builder.add(builder.scale(builder.mul(x, gate)), x)
        x = builder.add(x, builder.depthwise(y, 1, activation=Activation.NONE))
    x = builder.global_avg_pool(builder.conv(x, 17, 3))
    builder.dense(builder.dense(x, 17, Activation.RELU), 10)
    assert builder.build().digest == network("qtinyspeech-z").digest


@pytest.mark.parametrize(
    ("name", "params", "mult_adds", "printed"),
    [
        ("tinyspeech-x", 10_923, 10_886_136, "10.9 M"),
        ("tinyspeech-z", 2_712, 2_608_524, "2.6 M"),
        ("tinyspeech-m", 4_729, 4_419_440, "4.4 M"),
    ],
)
def test_counts_of_the_paper(name: str, params: int, mult_adds: int, printed: str) -> None:
    counts = count(network(name), "tinyspeech")
    assert (counts.params, counts.macs) == (params, mult_adds)
    assert f"{counts.macs / 1e6:.1f} M" == printed
    (claims, *_) = published_network(name).claims
    assert claims.params == pytest.approx(params, rel=0.012)


def test_y_is_not_reproduced() -> None:
    (claims,) = published_network("tinyspeech-y").claims
    counts = count(network("tinyspeech-y"), claims.counting)
    assert claims.params == 6_100
    assert counts.params == 4_182
    space = get_space("attention_condenser", (49, 10, 1), 12)
    wider = count(space.build(POINTS["tinyspeech-y"] | {"head_width": 25}), "tinyspeech")
    assert (wider.params, wider.macs) == (6_120, 6_053_100)  # the parameters fit, 6.5 M mult-adds do not


def test_a_transcription_that_does_not_fit_is_refused() -> None:
    for block in ((20, 18, 40, 10), (25, 18, 36, 10), (20, 18, 36, 12)):
        with pytest.raises(ValueError, match=r"of 10 channels: \(20, 18, 36, 10\) expected"):
            tinyspeech_choices(10, (block,), 6)


# --- what the report's two sums may mean ------------------------------------------------------------------------------


def reading(
    blocks: tuple[Block, ...],
    classes: int,
    *,
    kernel: int,
    dense: int,
    conv_biases: bool,
    dense_biases: bool,
    scale: int,
    batch_norm: str,
) -> int:
    """Parameters of TinySpeech-Z's stem, some of its blocks and its head, by one of the ways to count."""
    channels, head = 7, 17
    total = 9 * channels + 9 * channels * head + conv_biases * (channels + head)
    for mid0, out0, mid1, out1 in blocks:
        total += kernel * kernel * (mid0 + mid1) + mid0 * out0 + mid1 * out1 + scale
        total += conv_biases * (mid0 + out0 + mid1)
        total += conv_biases * out1 if batch_norm in ("none", "after") else 0  # "instead": of the last bias
        total += 0 if batch_norm == "none" else 2 * out1
    widths = [head, *([dense] if dense else []), classes]
    return total + sum(a * b + dense_biases * b for a, b in pairwise(widths))


def readings(total: int, blocks: int, classes: int) -> list[tuple[str, int, int, str]]:
    """Every way to reach ``total``: block numbers, kernel, dense, and what else is counted."""
    found = []
    flags = (False, True)
    for numbers in combinations(range(6), blocks):
        chosen = tuple(Z_BLOCKS[i] for i in numbers)
        for kernel, dense, conv_biases, dense_biases, scale, batch_norm in product(
            (1, 3), (0, 17), flags, flags, (0, 1, 7), ("none", "after", "instead")
        ):
            counted = reading(
                chosen,
                classes,
                kernel=kernel,
                dense=dense,
                conv_biases=conv_biases,
                dense_biases=dense_biases,
                scale=scale,
                batch_norm=batch_norm,
            )
            if counted == total:
                parts = [conv_biases * "conv", dense_biases * "dense", f"S {scale}", f"BatchNorm {batch_norm}"]
                found.append(("".join(str(i + 1) for i in numbers), kernel, dense, " ".join(filter(None, parts))))
    return found


def test_readings_of_3164() -> None:
    assert readings(3_164, 4, 10) == [
        ("1234", 3, 17, "conv S 0 BatchNorm instead"),
        ("1234", 3, 17, "conv S 7 BatchNorm none"),
        ("1235", 3, 17, "dense S 7 BatchNorm none"),
    ]
    assert count(network("qtinyspeech-z"), "qtinyspeech").params == 3_164


def test_readings_of_4846() -> None:
    assert readings(4_846, 6, 10) == []
    assert readings(4_846, 6, 12) == []
    assert readings(4_846, 6, 35) == [("123456", 3, 17, "dense S 7 BatchNorm none")]


def test_our_exact_count_of_qtinyspeech_z() -> None:
    # Weights 2,971; biases: stem 7, blocks 30 + 30 + 27 + 54, conv2 17, dense 17 + 10; BatchNorms 4 * (7 + 7).
    assert network("qtinyspeech-z").params == 2_971 + 7 + 141 + 17 + 27 + 56
