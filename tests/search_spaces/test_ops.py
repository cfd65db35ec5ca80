"""Shape, MACs and parameters of each operation, worked out by hand."""

from __future__ import annotations

import pytest

from search_spaces import (
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    NasError,
    Op,
    Padding,
    Shape,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

X = ("x",)
XY = ("x", "y")

CASES: list[tuple[Op, list[Shape], Shape, int, int]] = [
    # 5*4*8 outputs of 3*3*3 taps; 8 filters of 27 weights and a bias
    (Conv2D(inputs=X, output="o", filters=8, kernel=(3, 3)), [(5, 4, 3)], (5, 4, 8), 5 * 4 * 8 * 27, 8 * 28),
    (
        Conv2D(inputs=X, output="o", filters=2, kernel=(3, 1), stride=(2, 1), padding=Padding.VALID),
        [(7, 4, 3)],
        (3, 4, 2),
        3 * 4 * 2 * 9,
        2 * 10,
    ),
    (DepthwiseConv2D(inputs=X, output="o", kernel=(3, 3), stride=(2, 2)), [(5, 5, 6)], (3, 3, 6), 9 * 6 * 9, 60),
    (
        DepthwiseConv2D(inputs=X, output="o", kernel=(1, 1), multiplier=2),
        [(4, 4, 7)],
        (4, 4, 14),
        4 * 4 * 14,
        14 * 2,
    ),
    (FullyConnected(inputs=X, output="o", units=10), [(2, 3, 4)], (1, 1, 10), 240, 250),
    (MaxPool(inputs=X, output="o", kernel=(2, 2), stride=(2, 2)), [(5, 5, 3)], (3, 3, 3), 0, 0),
    (
        AvgPool(inputs=X, output="o", kernel=(5, 5), stride=(5, 5), padding=Padding.VALID),
        [(5, 5, 3)],
        (1, 1, 3),
        0,
        0,
    ),
    (UpsampleNearest(inputs=X, output="o", size=(5, 7)), [(2, 3, 4)], (5, 7, 4), 0, 0),
    (Add(inputs=XY, output="o"), [(4, 5, 6), (1, 5, 1)], (4, 5, 6), 0, 0),
    (Mul(inputs=XY, output="o"), [(1, 1, 6), (4, 5, 6)], (4, 5, 6), 0, 0),
    (Sigmoid(inputs=X, output="o"), [(4, 5, 6)], (4, 5, 6), 0, 0),
    (Softmax(inputs=X, output="o"), [(1, 1, 6)], (1, 1, 6), 0, 0),
]


@pytest.mark.parametrize(("op", "shapes", "out", "macs", "params"), CASES, ids=lambda v: getattr(v, "kind", None))
def test_counts(op: Op, shapes: list[Shape], out: Shape, macs: int, params: int) -> None:
    assert op.output_shape(shapes) == out
    assert op.macs(shapes, out) == macs
    assert op.params(shapes, out) == params


def test_a_valid_window_that_does_not_fit_is_refused() -> None:
    pool = MaxPool(inputs=X, output="pool", kernel=(3, 3), padding=Padding.VALID)
    with pytest.raises(NasError, match=r"MaxPool 'pool': kernel \(3, 3\).*does not fit an input of 2x8"):
        pool.output_shape([(2, 8, 1)])


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(NasError, match="neither match nor broadcast"):
        Add(inputs=XY, output="o").output_shape([(4, 4, 2), (4, 2, 2)])


@pytest.mark.parametrize("kind", [MaxPool, AvgPool])
def test_dilated_pools_are_refused(kind: type[MaxPool] | type[AvgPool]) -> None:
    pool = kind(inputs=X, output="pool", kernel=(2, 2), dilation=(1, 2))
    with pytest.raises(NasError, match=rf"{kind.__name__} 'pool' has dilation \(1, 2\); pooling knows \(1, 1\) alone"):
        pool.output_shape([(4, 4, 1)])


@pytest.mark.parametrize("numbers", [{"kernel": (0, 3)}, {"stride": (1, 0)}, {"stride": (-1, 1)}, {"dilation": (1, 0)}])
def test_windows_of_no_size_or_step_are_refused(numbers: dict[str, tuple[int, int]]) -> None:
    conv = Conv2D(inputs=X, output="o", filters=4, **{"kernel": (3, 3), **numbers})
    with pytest.raises(NasError, match="numbers of at least 1 expected"):
        conv.output_shape([(4, 4, 1)])
