"""Named networks: the list of them, and other numbers of classes."""

from __future__ import annotations

import pytest

from search_spaces import (
    FullyConnected,
    GraphBuilder,
    NasError,
    get_space,
    network,
    network_names,
    published_network,
    space_names,
    with_classes,
)
from search_spaces.published.registry import impossible, published


def test_names() -> None:
    assert network_names() == sorted(network_names())
    assert all(network(name).name == name and published_network(name).source for name in network_names())
    with pytest.raises(NasError, match="'resnet8' is unknown; did you mean 'resnet-8'"):
        network("resnet8")


def test_spaces_are_those_that_exist() -> None:
    spaces = {published_network(name).space for name in network_names()} - {None}
    assert spaces <= set(space_names())


def test_two_names_may_mean_one_graph() -> None:
    for name, other in (("resnet-8", "mlperf-ic-resnet8"), ("ds-cnn-s", "mlperf-kws-dscnn")):
        assert network(name).digest == network(other).digest
        assert (network(name).name, network(other).name) == (name, other)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="'resnet-8' is published twice"):
        published("resnet-8", space=None, source="")(lambda: network("resnet-8"))
    with pytest.raises(ValueError, match="'bc-resnet-1' is published twice"):
        impossible("bc-resnet-1", "again")
    with pytest.raises(ValueError, match="'bc-resnet-1' is published twice"):
        published("bc-resnet-1", space=None, source="")(lambda: network("resnet-8"))


@pytest.mark.parametrize("name", network_names())
def test_other_numbers_of_classes(name: str) -> None:
    plain, ten = network(name), network(name, 7)
    assert ten.output_shape == (1, 1, 7)
    assert ten.name == name
    assert ten.input_shape == plain.input_shape
    last, changed = plain.ops[-1], ten.ops[-1]
    assert isinstance(last, FullyConnected)
    assert isinstance(changed, FullyConnected)
    assert plain.ops[:-1] == ten.ops[:-1]
    inputs = plain.shapes[last.inputs[0]]
    assert plain.params - ten.params == (last.units - 7) * (inputs[0] * inputs[1] * inputs[2] + 1)
    assert network(name, last.units).digest == plain.digest


def test_classes_are_a_keyword_spotters_ten_or_twelve() -> None:
    # 65 = 64 weights and a bias for each class.
    assert network("ds-cnn-s").params - network("ds-cnn-s", classes=10).params == 2 * 65


def test_a_softmax_may_follow_the_dense_layer() -> None:
    builder = GraphBuilder((4, 4, 1))
    hidden = builder.dense(builder.input, 5)
    builder.softmax(builder.dense(hidden, 3))
    changed = with_classes(builder.build("probable"), 8)
    assert [op.units for op in changed.ops if isinstance(op, FullyConnected)] == [5, 8]
    assert changed.output_shape == (1, 1, 8)


def test_classes_of_other_networks_are_fixed() -> None:
    builder = GraphBuilder((4, 4, 1))
    builder.global_avg_pool(builder.conv(builder.input, 3))
    graph = builder.build("convolutional")
    with pytest.raises(NasError, match="'convolutional' ends in AvgPool; only a FullyConnected can be given 8 classes"):
        with_classes(graph, 8)
    builder = GraphBuilder((4, 4, 1))
    builder.softmax(builder.global_avg_pool(builder.conv(builder.input, 3)))
    with pytest.raises(NasError, match="ends in Softmax"):
        with_classes(builder.build(), 8)


def test_one_class_is_none() -> None:
    with pytest.raises(NasError, match="classes 1: at least 2 expected"):
        network("ds-cnn-s", 1)


def test_points_of_a_space_have_its_name() -> None:
    for name in network_names():
        known = published_network(name)
        if known.space is not None:
            graph = known.build()
            assert graph.name == get_space(known.space, graph.input_shape, 10).name
