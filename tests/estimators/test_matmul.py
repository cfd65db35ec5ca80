"""Counts of matrix products, by hand."""

from __future__ import annotations

from estimators.matmul import conv2d, fully_connected, fully_connected_s4, pointwise, pointwise_s4
from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation, Op, Shape


def layer(builder: GraphBuilder) -> tuple[Op, Shape, Shape]:
    """Operation, input's and output's shape."""
    graph = builder.build()
    return graph.ops[0], graph.input_shape, graph.output_shape


def test_pointwise() -> None:
    builder = GraphBuilder((3, 3, 7))
    builder.conv(builder.input, 5, activation=Activation.NONE)
    # Nine pixels are three tiles, seven inputs two steps (three half-steps in the loop), five filters two pairs and 1.
    assert pointwise(*layer(builder)) == {
        "macs": 3 * 2 * 2 * 32,
        "runs": 3 * 2,
        "chunks": 0,
        "groups": 3 * 2,
        "signed_outputs": 3 * 2 * 8,
        "lone_macs": 3 * 2 * 16,
        "lone_outputs": 3 * 4,
        "tiles": 3,
        "words": 3,
        "word_runs": 3,
        "lone_words": 3 * 4,
        "calls": 1,
    }


def test_rounds_begin_where_eight_half_steps_leave() -> None:
    rounds = []
    for channels in (4, 16, 17, 32, 33):
        builder = GraphBuilder((2, 2, channels))
        builder.conv(builder.input, 2)
        counts = pointwise(*layer(builder))
        assert counts["signed_outputs"] == 0
        rounds.append(counts["runs"])
    assert rounds == [1, 1, 2, 2, 3]  # 1, 7, 9, 15, 17 half-steps


def test_many_inputs_come_in_chunks() -> None:
    chunks = []
    for channels in (256, 257, 513):
        builder = GraphBuilder((1, 5, channels))
        builder.conv(builder.input, 5)
        chunks.append(pointwise(*layer(builder))["chunks"])
    assert chunks == [0, 2 * 2 * 2, 2 * 2 * 3]  # two tiles, two pairs of filters


def test_a_convolution_with_words_and_borders() -> None:
    builder = GraphBuilder((2, 8, 4))
    builder.conv(builder.input, 2, 3)
    # Of each row's two tiles one holds the left border, one the right: two of eight positions each are cut. They have
    # two kernel rows inside, each of two taps of four values.
    assert {
        "tiles": 4,
        "rows": 0,
        "pixels": 16,
        "lone_words": 16 * 9,
        "lone_runs": 12 * 3,
        "word_runs": 0,
        "cut_runs": 4 * 2,
        "fill_runs": 4,
        "copies": 4 * 2 * 2,
        "taps": 0,
        "fills": 4 * (9 - 2 * 2) * 4,
    }.items() <= conv2d(*layer(builder)).items()


def test_a_convolution_inside_of_the_image() -> None:
    builder = GraphBuilder((1, 12, 4))
    builder.conv(builder.input, 2, (3, 5))
    # Of three tiles the middle one is expanded at once: one kernel row of three, the others are padding. Of the other
    # eight positions four are cut, down to three and four taps.
    counts = conv2d(*layer(builder))
    assert {"rows": 1, "words": 5, "padded_words": 10, "pixels": 8, "cut_runs": 4}.items() <= counts.items()
    assert {"fill_runs": 8, "copies": 2 * (3 + 4), "taps": 0}.items() <= counts.items()


def test_uneven_runs_are_copied() -> None:
    builder = GraphBuilder((3, 4, 3))
    builder.conv(builder.input, 2, 3)
    # Two, three and two kernel rows inside, at two positions that are cut down to two taps, and two that are not.
    runs = 2 * (2 + 3 + 2)
    expected = {"pixels": 12, "lone_runs": 0, "word_runs": runs, "cut_runs": runs, "fill_runs": 4 * 2, "rows": 0}
    expected |= {"copies": runs * (3 + 2), "taps": 0}  # nine values are three words, six are two
    assert expected.items() <= conv2d(*layer(builder)).items()


def test_runs_shorter_than_a_word() -> None:
    builder = GraphBuilder((3, 4, 1))
    builder.conv(builder.input, 2, 3)
    assert {"copies": 0, "taps": 14 * (3 + 2)}.items() <= conv2d(*layer(builder)).items()


def test_dilation_parts_the_taps() -> None:
    builder = GraphBuilder((5, 5, 4))
    builder.conv(builder.input, 2, 3, dilation=2)
    # Along an axis 2, 2, 3, 2, 2 taps are inside. 25 positions make 7 tiles of 28: the last one counts four times.
    inside = 11 * 11 + 3 * 2 * 2
    expected = {"pixels": 28, "cut_runs": inside, "copies": inside, "fill_runs": 28 * 9 - inside}
    assert expected.items() <= conv2d(*layer(builder)).items()


def test_a_dense_layer() -> None:
    builder = GraphBuilder((1, 2, 5))
    builder.dense(builder.input, 7)
    # Ten inputs: two words, and two left over; seven units: four, two, one.
    assert fully_connected(*layer(builder)) == {
        "macs": 4 * 8,
        "pairs": 2 * 8,
        "lone_macs": 8,
        "word_runs": 3,
        "taps": 7 * 2,
        "turns": 3 * 2,
        "groups": 3,
        "outputs": 7,
        "inputs": 10,
        "calls": 1,
    }


def test_weights_of_4_bits() -> None:
    builder = GraphBuilder((3, 3, 17))
    builder.conv(builder.input, 5, weight_bits=4)
    counts = pointwise_s4(*layer(builder))
    # Five steps are two rounds of four; each of three tiles adds up its inputs once.
    assert (counts["runs"], counts["taps"]) == (3 * 2 * 2, 3 * 5)
    assert counts == {**pointwise(*layer(builder)), "runs": counts["runs"], "taps": counts["taps"]}
    builder = GraphBuilder((1, 1, 23))
    builder.dense(builder.input, 3, weight_bits=4)
    assert fully_connected_s4(*layer(builder)) == {
        **fully_connected(*layer(builder)),
        "words": 2,
        "lone_taps": 7,
        "word_runs": 2,
    }
    alone = GraphBuilder((1, 1, 4))
    alone.conv(alone.input, 1, weight_bits=4)
    assert pointwise_s4(*layer(alone))["taps"] == 0
