from __future__ import annotations

import pytest

from estimators import load_target, lower
from estimators.cycles import Terms, terms
from estimators.depthwise import SCRATCH_LIMIT, SCRATCH_SHARE, plane_bytes, planes, runs_in_place, scratch
from search_spaces import DepthwiseConv2D, GraphBuilder, Padding, Shape

TARGET = load_target("stm32l4r9")


def op(
    kernel: tuple[int, int],
    stride: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    padding: Padding = Padding.SAME,
) -> DepthwiseConv2D:
    return DepthwiseConv2D(
        inputs=("input",), output="output", kernel=kernel, stride=stride, dilation=dilation, padding=padding
    )


def test_planes_of_the_keyword_network_by_hand() -> None:
    layout = planes(op((3, 3)), (25, 5, 64))
    # Columns -1 and 0, 1 and 2, 3 and 4, 5 and 6; rows -1 to 25.
    assert (layout.strips, layout.strip_rows, layout.band_rows, layout.transposed) == (4, 27, 25, False)
    assert (layout.pairs, layout.odd, layout.steps) == (2, True, (0, 1))
    assert plane_bytes(op((3, 3)), (25, 5, 64)) == 4 * 27 * 4 * 4


def test_a_stride_of_two_shares_strips_and_parts_rows() -> None:
    layout = planes(op((3, 3), (2, 2)), (8, 8, 4))
    # Output column x reads strips x and x + 1; four rows of each remainder, and one more for the last tap.
    assert (layout.strips, layout.steps, layout.odd, layout.kept_rows) == (5, (1, 1), False, 1)
    assert layout.plane_words == 5 * 2 * (4 + 1)
    assert scratch(op((3, 3), (2, 2)), (8, 8, 4)) == 4 * (2 * 6 + 4 * layout.plane_words)


def test_dilation_goes_down_where_it_costs_nothing() -> None:
    layout = planes(op((1, 3), dilation=(1, 4)), (16, 16, 8))
    assert (layout.transposed, layout.down.dilation, layout.across.kernel) == (True, 4, 1)
    both = planes(op((3, 3), dilation=(2, 2)), (8, 8, 4))
    # Every column has two strips of its own: its first tap with the second one, and the third with a tap of weight 0.
    assert (both.groups, both.group_strips, both.strip_step, both.pair_step, both.steps) == (8, 2, 4, 2, (2, 2))


@pytest.mark.parametrize("source", [(96, 96, 8), (48, 48, 16), (200, 30, 3), (30, 200, 4)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_bands_keep_planes_small(source: Shape, stride: tuple[int, int]) -> None:
    layer = op((3, 3), stride)
    layout = planes(layer, source)
    assert layout.band_rows < layout.down.out
    assert layout.band_rows % 4 == 0
    assert plane_bytes(layer, source) <= max(SCRATCH_LIMIT, source[0] * source[1] * source[2] // SCRATCH_SHARE)


def test_in_place_is_for_outputs_of_the_input_s_shape() -> None:
    shape = (6, 6, 4)
    assert runs_in_place(op((3, 3)), [shape], shape)
    assert not runs_in_place(op((3, 3), (2, 2)), [(1, 1, 4)], (1, 1, 4))
    assert not runs_in_place(op((3, 3), padding=Padding.VALID), [shape], (4, 4, 4))


def _terms(builder: GraphBuilder) -> Terms:
    plan = lower(builder.build(), TARGET)
    return terms(plan, plan.steps[-1])


def test_terms_of_3x3_by_hand() -> None:
    builder = GraphBuilder((5, 5, 6))
    builder.depthwise(builder.input, 3)
    # Two pairs of columns of 3 tiles and one column of 2; one group of four channels and two that are left over.
    assert _terms(builder) == {
        "tiles": 6 * (2 * 3 + 2),
        "signed_tiles": 0,
        "taps": 0 + 6 * (2 * 3 + 2) * 6,
        # Side by side; those of the last column alone.
        "pairs": 6 * 2 * 5,
        "singles": 6 * 5,
        "columns": 6 * 2,
        "runs": 6 * 2,
        "channels": 6,
        "weights": 6 * 12,
        "rows": 6 * 3 * 2,
        "offsets": 12,
        "groups": 3,
        # Four strips, of which the last one, columns 5 and 6, is padding; five rows take three turns.
        "strips": 4 * 3,
        "copies": 3 * 3,
        "word_runs": 3,
        "lone_words": 3 * 5 * 2,
        "lone_runs": 3 * 2,
        # Four planes of four strips of seven words are padded before anything is copied.
        "fills": 4 * 4 * 7,
        "fill_runs": 4 * 4,
        "moved": 0,
        "moved_runs": 0,
        "calls": 1,
    }


def test_terms_of_one_pixel_by_hand() -> None:
    builder = GraphBuilder((5, 5, 6))
    builder.depthwise(builder.input, 1, multiplier=2)
    assert _terms(builder) == {"outputs": 300, "signed_outputs": 0, "channels": 12, "calls": 1}
