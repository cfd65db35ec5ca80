"""Boxes stand apart, edges end at boxes and cross none; skips that overlap have lanes of their own."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from nas.report.layout import BOX, LANE, ROW, Box, Edge, Layout, lay_out

LEFT, TOP, WIDTH = 20.0, 100.0, 250.0


def place(*reads: list[int]) -> Layout:
    return lay_out([[], *reads], LEFT, TOP, WIDTH)


def lanes(layout: Layout) -> dict[tuple[int, int], int | None]:
    return {(edge.source, edge.target): edge.lane for edge in layout.edges}


def crosses(edge: Edge, box: Box) -> bool:
    """Whether a part of the edge runs through the inside of the box."""
    return any(
        min(x, u) < box.right and max(x, u) > box.x and min(y, v) < box.bottom and max(y, v) > box.y
        for (x, y), (u, v) in pairwise(edge.points)
    )


@st.composite
def reads(draw: st.DrawFn) -> list[list[int]]:
    """What each row after the first reads: one to three rows before it, the same one twice now and then."""
    rows = draw(st.integers(1, 25))
    return [draw(st.lists(st.integers(0, i), min_size=1, max_size=3)) for i in range(rows)]


@given(reads())
def test_nothing_overlaps_and_everything_is_connected(rows: list[list[int]]) -> None:
    layout = place(*rows)
    assert len(layout.boxes) == len(rows) + 1
    for upper, lower in pairwise(layout.boxes):
        assert upper.bottom < lower.y
        assert upper.right == lower.right
    assert min(box.width for box in layout.boxes) == WIDTH
    assert min(box.x for box in layout.boxes) >= LEFT
    wanted = {(source, row) for row, sources in enumerate(rows, 1) for source in sources}
    assert {(edge.source, edge.target) for edge in layout.edges} == wanted
    for edge in layout.edges:
        source, target = layout.boxes[edge.source], layout.boxes[edge.target]
        (x, y), (u, v) = edge.points[0], edge.points[-1]
        if edge.lane is None:
            assert (y, v) == (source.bottom, target.y)
            assert x == u
            assert max(source.x, target.x) < x < source.right
        else:
            assert (x, u) == (source.x, target.x)
            assert source.y < y < source.bottom
            assert target.y < v < target.bottom
        assert all(point[0] >= LEFT for point in edge.points)
        assert not any(crosses(edge, box) for box in layout.boxes)


@given(reads())
def test_different_tensors_never_share_a_piece_of_a_lane(rows: list[list[int]]) -> None:
    skips = [edge for edge in place(*rows).edges if edge.lane is not None]
    for one, other in combinations(skips, 2):
        if one.source != other.source and one.lane == other.lane:
            (_, (_, start), (_, end), _), (_, (_, begin), (_, stop), _) = one.points, other.points
            assert end < begin or stop < start
    for one, other in combinations(skips, 2):  # and no two arrows have one tip
        assert one.points[-1] != other.points[-1]


def test_a_chain_is_one_straight_column() -> None:
    layout = place([0], [1], [2])
    assert layout.boxes == tuple(Box(LEFT, TOP + ROW * i, WIDTH, BOX) for i in range(4))
    assert [edge.lane for edge in layout.edges] == [None] * 3
    assert len({point[0] for edge in layout.edges for point in edge.points}) == 1


def test_a_residual_block_is_indented() -> None:
    layout = place([0], [1], [1, 2], [3])  # row 3 adds rows 1 and 2
    assert lanes(layout) == {(0, 1): None, (1, 2): None, (1, 3): 0, (2, 3): None, (3, 4): None}
    assert [box.x - LEFT for box in layout.boxes] == [0, LANE, LANE, LANE, 0]


def test_blocks_one_after_the_other_share_a_lane() -> None:
    layout = place([0], [0, 1], [2], [2, 3])
    assert [edge.lane for edge in layout.edges if edge.lane is not None] == [0, 0]


def test_inner_skips_lie_nearer_to_the_boxes() -> None:
    found = lanes(place([0], [1], [1, 2], [0, 3]))
    assert (found[0, 4], found[1, 3]) == (0, 1)


def test_a_tensor_with_many_readers_has_one_lane() -> None:
    layout = place([0], [1], [0, 2], [0, 3])
    assert {edge.lane for edge in layout.edges if edge.source == 0 and edge.target > 1} == {0}


def test_the_nearer_of_two_skips_enters_above_the_farther() -> None:
    layout = place([0], [1], [2], [0, 1])  # row 4 reads rows 0 and 1, both past the spine
    entry = {edge.source: edge.points[-1][1] for edge in layout.edges if edge.target == 4}
    lane = {edge.source: edge.lane for edge in layout.edges if edge.target == 4}
    assert lane == {0: 0, 1: 1}
    assert entry[1] < entry[0]


def test_paths() -> None:
    straight = Edge(0, 1, None, ((5, 10), (5, 20)))
    assert straight.path == "M5,10L5,20"
    assert straight.head == "M5,20l-3.5,-5.5h7z"
    bent = Edge(0, 2, 0, ((50, 10), (20, 10), (20, 100), (50, 100)))
    assert bent.path == "M50,10L26,10Q20,10 20,16L20,94Q20,100 26,100L50,100"
    assert bent.head == "M50,100l-6,-3.5v7z"
