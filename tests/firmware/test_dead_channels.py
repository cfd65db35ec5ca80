"""Dead channels leave, the bytes stay."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import reference
from firmware.dead_channels import without_dead_channels
from firmware.int8_model import Int8Model
from search_spaces import Activation, Graph, GraphBuilder
from tests.strategies import random_input, random_int8_model


def _graph(residual: bool = False) -> Graph:
    builder = GraphBuilder((6, 5, 3))
    x = builder.conv(builder.input, 6, 3, activation=Activation.RELU)
    x = builder.depthwise(x, 3, activation=Activation.RELU)
    y = builder.max_pool(x, 2, 2)
    if residual:
        y = builder.add(y, builder.conv(y, 6, 1))
    y = builder.conv(y, 5, 1)
    return builder.build(builder.dense(y, 4))


def _with_dead(model: Int8Model, name: str, channels: list[int], bias: int = 0) -> Int8Model:
    layer = model.layers[name]
    weights, biases = layer.weights.copy(), layer.bias.copy()
    if weights.shape[0] == len(biases):
        weights[channels] = 0
    else:
        weights[:, :, channels] = 0
    biases[channels] = bias
    return replace(model, layers={**model.layers, name: replace(layer, weights=weights, bias=biases)})


def _first(graph: Graph, kind: str) -> str:
    return next(op.output for op in graph.ops if op.kind == kind)


def _same_bytes(model: Int8Model, slim: Int8Model) -> None:
    x = random_input(model, 8, np.random.default_rng(3))
    np.testing.assert_array_equal(reference.run(slim, x), reference.run(model, x))


def test_zero_filters_leave_with_everything_that_depends_on_them() -> None:
    graph = _graph()
    model = _with_dead(random_int8_model(graph, np.random.default_rng(0)), _first(graph, "Conv2D"), [1, 4])
    # The depthwise layer's own bias makes another constant of them, which the pointwise convolution's bias takes in.
    slim = without_dead_channels(_with_dead(model, _first(graph, "DepthwiseConv2D"), [1, 4], bias=900))
    assert [shape[2] for shape in slim.graph.shapes.values()] == [3, 4, 4, 4, 5, 4]
    _same_bytes(_with_dead(model, _first(graph, "DepthwiseConv2D"), [1, 4], bias=900), slim)


def test_a_constant_beside_padding_stays_unless_it_means_zero() -> None:
    builder = GraphBuilder((5, 5, 2))
    x = builder.conv(builder.input, 4, 1)
    graph = builder.build(builder.conv(x, 3, 3))
    first = _first(graph, "Conv2D")
    model = random_int8_model(graph, np.random.default_rng(1))
    other = _with_dead(model, first, [2], bias=5000)
    assert without_dead_channels(other) is other
    zero = _with_dead(model, first, [2], bias=0)
    slim = without_dead_channels(zero)
    assert slim.graph.shapes[first][2] == 3
    _same_bytes(zero, slim)


def test_a_sum_needs_its_channels() -> None:
    graph = _graph(residual=True)
    first = _first(graph, "Conv2D")
    model = _with_dead(random_int8_model(graph, np.random.default_rng(0)), first, [0])
    slim = without_dead_channels(model)
    assert slim.graph.shapes[first] == graph.shapes[first]
    _same_bytes(model, slim)


def test_one_channel_remains() -> None:
    builder = GraphBuilder((4, 4, 2))
    x = builder.conv(builder.input, 3, 1)
    graph = builder.build(builder.conv(x, 2, 1))
    first = _first(graph, "Conv2D")
    model = _with_dead(random_int8_model(graph, np.random.default_rng(0)), first, [0, 1, 2], bias=300)
    slim = without_dead_channels(model)
    assert slim.graph.shapes[first][2] == 1
    _same_bytes(model, slim)


def test_what_nobody_reads_leaves() -> None:
    graph = _graph()
    model = random_int8_model(graph, np.random.default_rng(0))
    name = [op.output for op in graph.ops if op.kind == "Conv2D"][-1]
    layer = model.layers[name]
    weights = layer.weights.copy()
    weights[..., 3] = 0
    blind = replace(model, layers={**model.layers, name: replace(layer, weights=weights)})
    slim = without_dead_channels(blind)
    assert slim.graph.shapes[_first(graph, "Conv2D")][2] == 5
    _same_bytes(blind, slim)


@pytest.mark.parametrize("residual", [False, True])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_bytes_stay(residual: bool, data: st.DataObject) -> None:
    graph = _graph(residual)
    model = random_int8_model(graph, np.random.default_rng(data.draw(st.integers(0, 1000))))
    for op in graph.ops:
        if op.output in model.layers and op.output != graph.output:
            channels = data.draw(st.lists(st.integers(0, graph.shapes[op.output][2] - 1), max_size=4, unique=True))
            model = _with_dead(model, op.output, channels, data.draw(st.sampled_from([0, -3000, 2500, -100_000])))
    slim = without_dead_channels(model)
    assert all(new[2] <= old[2] for new, old in zip(slim.graph.shapes.values(), graph.shapes.values(), strict=True))
    _same_bytes(model, slim)
