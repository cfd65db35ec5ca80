"""The BC-ResNet space builds broadcasted residuals with time along the height, for any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    Activation,
    Add,
    AvgPool,
    BcResNet,
    Conv2D,
    DepthwiseConv2D,
    Features,
    FrontEnd,
    FullyConnected,
    Graph,
    Op,
    Padding,
    Shape,
    get_space,
    window,
)
from search_spaces.published.bc_resnet import bc_resnet_choices

SHAPES: list[Shape] = [(98, 40, 1), (49, 10, 1), (47, 13, 1), (32, 32, 3), (8, 8, 1), (224, 224, 3), (1, 1, 1)]


def said(op: Op) -> tuple[object, ...]:
    """An operation as kind, kernel, stride and what else it has."""
    match op:
        case Conv2D():
            return ("Conv2D", op.kernel, op.stride, op.filters, op.activation)
        case DepthwiseConv2D():
            return ("DepthwiseConv2D", op.kernel, op.stride, op.dilation, op.activation)
        case AvgPool():
            return ("AvgPool", op.kernel, op.padding)
        case Add():
            return ("Add", op.inputs, op.activation)
        case FullyConnected():
            return ("FullyConnected", op.units)
    return (op.kind,)


def test_layers_in_order() -> None:
    """12 frames of 20 values; stem stride 2 over frequency; one stage of a transition and a normal block."""
    choices = bc_resnet_choices((5, 16, 1, 2), [(2, 8, 2, 4)], head=32)
    graph = BcResNet((12, 20, 1), 3).build(choices | {"stage1_time_kernel": 5})
    relu, none, valid = Activation.RELU, Activation.NONE, Padding.VALID
    assert [said(op) for op in graph.ops] == [
        ("Conv2D", (5, 5), (1, 2), 16, relu),
        # Transition, since width and frequencies change: pointwise first, and no identity.
        ("Conv2D", (1, 1), (1, 1), 8, relu),
        ("DepthwiseConv2D", (1, 3), (1, 2), (1, 1), none),
        ("AvgPool", (1, 5), valid),
        ("DepthwiseConv2D", (5, 1), (1, 1), (4, 1), relu),
        ("Conv2D", (1, 1), (1, 1), 8, none),
        ("Add", ("depthwise2", "conv5"), relu),
        # Normal: x + f2(x) + f1(mean of f2(x)).
        ("DepthwiseConv2D", (1, 3), (1, 1), (1, 1), none),
        ("AvgPool", (1, 5), valid),
        ("DepthwiseConv2D", (5, 1), (1, 1), (4, 1), relu),
        ("Conv2D", (1, 1), (1, 1), 8, none),
        ("Add", ("depthwise7", "conv10"), none),
        ("Add", ("add11", "add6"), relu),
        ("DepthwiseConv2D", (5, 5), (1, 5), (1, 1), none),
        ("Conv2D", (1, 1), (1, 1), 32, relu),
        ("AvgPool", (12, 1), valid),
        ("FullyConnected", 3),
    ]
    shapes = graph.shapes
    # Frames stay, frequencies halve twice; the temporal branch has one value per frame, repeated by the Add.
    assert [shapes[f"{name}"] for name in ("conv0", "depthwise2", "conv5", "add6")] == [
        (12, 10, 16),
        (12, 5, 8),
        (12, 1, 8),
        (12, 5, 8),
    ]
    assert shapes["depthwise13"] == (12, 1, 8)


def test_a_stride_over_frequency_is_a_transition_even_at_one_width() -> None:
    graph = BcResNet((12, 20, 1), 3).build(bc_resnet_choices((3, 8, 1, 1), [(1, 8, 2, 1)], head=16))
    assert [op.kind for op in graph.ops[:3]] == ["Conv2D", "Conv2D", "DepthwiseConv2D"]
    assert sum(isinstance(op, Add) for op in graph.ops) == 1


def test_a_stem_stride_over_time_divides_the_frames() -> None:
    graph = BcResNet((49, 10, 1), 3).build(bc_resnet_choices((5, 16, 2, 1), [(1, 8, 1, 1)], head=32))
    assert graph.shapes["conv0"] == (25, 10, 16)


def test_one_frequency_needs_no_mean() -> None:
    graph = BcResNet((12, 1, 1), 3).build(bc_resnet_choices((3, 8, 1, 1), [(1, 8, 1, 1)], head=16))
    assert [op.kind for op in graph.ops].count("AvgPool") == 1  # the global one


@pytest.mark.parametrize(("frequencies", "band", "bands"), [(5, 5, 1), (10, 5, 2), (3, 3, 1), (13, 5, 3)])
def test_the_tail_takes_bands_of_frequencies(frequencies: int, band: int, bands: int) -> None:
    graph = BcResNet((12, frequencies, 1), 3).build(bc_resnet_choices((3, 8, 1, 1), [(1, 8, 1, 1)], head=16))
    tail = next(op for op in graph.ops if isinstance(op, DepthwiseConv2D) and op.kernel[0] == 5)
    assert (tail.kernel, tail.stride) == ((5, band), (1, band))
    assert graph.shapes[tail.output] == (12, bands, 8)


def test_the_tail_of_five_frequencies_pads_time_alone() -> None:
    # What the paper's padding=(0, 2) over (frequency, time) says.
    assert window(5, 5, 5, 1, Padding.SAME) == (1, 0)
    assert window(98, 5, 1, 1, Padding.SAME) == (98, 2)


def test_front_ends_decide_the_shape() -> None:
    front = FrontEnd(features=Features.LOG_MEL, window=480, hop=160, mel_bands=40, coefficients=0)
    space = get_space("bc_resnet", front.shape, 10, [front])
    graph = space.build(space.decode(space.draw(np.random.default_rng(0), 1)[0]))
    assert (graph.input_shape, graph.frontend) == ((98, 40, 1), front)


def test_an_absent_stage_leaves_one_network_for_many_vectors() -> None:
    space = BcResNet((12, 20, 1), 3)
    base = bc_resnet_choices((3, 8, 1, 1), [(1, 8, 1, 1)], head=16)
    assert space.build(base).digest == space.build(base | {"stage3_width": 48, "stage3_dilation": 8}).digest


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_seeded_draws_build(shape: Shape) -> None:
    space = BcResNet(shape, 12)
    for row in space.draw(np.random.default_rng(0), 60):
        graph = space.build(space.decode(row))
        assert (graph.input_shape, graph.output_shape) == (shape, (1, 1, 12))
        assert (space.encode(space.decode(row)) == row).all()


def broadcasts(graph: Graph) -> list[tuple[Shape, ...]]:
    """Shapes of the inputs of every Add whose inputs differ in shape."""
    pairs = [tuple(graph.shapes[name] for name in op.inputs) for op in graph.ops if isinstance(op, Add)]
    return [pair for pair in pairs if pair[0] != pair[1]]


@given(height=st.integers(1, 60), width=st.integers(1, 45), classes=st.integers(2, 20), seed=st.integers(0, 2**32))
def test_every_vector_is_a_network_for_every_input(height: int, width: int, classes: int, seed: int) -> None:
    space = BcResNet((height, width, 1), classes)
    graph = space.build(space.decode(space.draw(np.random.default_rng(seed), 1)[0]))
    assert graph.output_shape == (1, 1, classes)
    # Only ever a value per frame over the frequencies: (T, F, C) + (T, 1, C).
    assert all(b == (a[0], 1, a[2]) for a, b in broadcasts(graph))
