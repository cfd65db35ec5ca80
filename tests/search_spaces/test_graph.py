"""What a graph accepts, and that it survives JSON and renaming."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Add, Conv2D, FullyConnected, Graph, GraphBuilder, NasError, Sigmoid, get_space, network


def conv(source: str, output: str, filters: int = 2) -> Conv2D:
    return Conv2D(inputs=(source,), output=output, filters=filters, kernel=(3, 3))


def residual() -> Graph:
    ops = (conv("input", "a"), conv("a", "b"), Add(inputs=("a", "b"), output="c"))
    return Graph((4, 4, 1), ops, "small")


def test_counts_are_sums_over_operations() -> None:
    graph = residual()
    assert graph.macs == 16 * 2 * 9 + 16 * 2 * 18
    assert graph.params == 2 * 10 + 2 * 19
    assert dict(graph.shapes) == {"input": (4, 4, 1), "a": (4, 4, 2), "b": (4, 4, 2), "c": (4, 4, 2)}
    assert (graph.input, graph.output, graph.output_shape) == ("input", "c", (4, 4, 2))


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        ((), "has no operations"),
        ((conv("nowhere", "a"),), "reads tensor 'nowhere' before it is written"),
        ((conv("input", "a"), conv("a", "a")), "tensor 'a' is written twice"),
        ((conv("input", "a"), conv("input", "b")), "tensor 'a' is never read"),
        ((Add(inputs=("input",), output="a"),), "has 1 inputs; 2 expected"),
        ((conv("input", "a", filters=0),), "every extent must be at least 1"),
    ],
)
def test_what_is_no_network_is_refused(ops: tuple[Any, ...], message: str) -> None:
    with pytest.raises(NasError, match=message):
        Graph((4, 4, 1), ops)


def test_an_empty_input_is_refused() -> None:
    with pytest.raises(NasError, match=r"input_shape \(4, 0, 1\)"):
        Graph((4, 0, 1), (conv("input", "a"),))


def test_digest_sees_structure_and_no_names() -> None:
    graph = residual()
    renamed = Graph((4, 4, 1), (conv("input", "p"), conv("p", "q"), Add(inputs=("p", "q"), output="r")), "another name")
    swapped = Graph((4, 4, 1), (conv("input", "a"), conv("a", "b"), Add(inputs=("b", "a"), output="c")))
    wider = Graph(
        (4, 4, 1), tuple(dataclasses.replace(op, filters=3) if op.kind == "Conv2D" else op for op in graph.ops)
    )
    assert graph.digest == renamed.digest
    assert len({graph.digest, swapped.digest, wider.digest}) == 3


@given(seed=st.integers(0, 2**32))
def test_json_round_trip(seed: int) -> None:
    space = get_space("ds_cnn", (11, 6, 2), 3)
    graph = space.build(space.decode(space.draw(np.random.default_rng(seed), 1)[0]))
    again = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert again == graph
    assert hash(again) == hash(graph)
    assert again.digest == graph.digest
    assert again.name == graph.name


def _drop_shape(data: dict[str, Any]) -> None:
    del data["input_shape"]


def _odd_shape(data: dict[str, Any]) -> None:
    data["input_shape"] = [4, 4]


def _unknown_op(data: dict[str, Any]) -> None:
    data["ops"][0]["op"] = "Conv3D"


def _unknown_field(data: dict[str, Any]) -> None:
    data["ops"][0]["groups"] = 2


def _odd_padding(data: dict[str, Any]) -> None:
    data["ops"][0]["padding"] = "reflect"


def _part_of_a_filter(data: dict[str, Any]) -> None:
    data["ops"][0]["filters"] = 4.5


def _three_extents(data: dict[str, Any]) -> None:
    data["ops"][0]["kernel"] = [3, 3, 3]


def _no_step(data: dict[str, Any]) -> None:
    data["ops"][0]["stride"] = [0, 1]


def _fraction_of_a_row(data: dict[str, Any]) -> None:
    data["input_shape"][0] = 4.7


@pytest.mark.parametrize(
    "damage",
    [
        _drop_shape,
        _odd_shape,
        _unknown_op,
        _unknown_field,
        _odd_padding,
        _part_of_a_filter,
        _three_extents,
        _no_step,
        _fraction_of_a_row,
    ],
)
def test_damaged_json_is_refused(damage: Callable[[dict[str, Any]], None]) -> None:
    data = residual().to_json()
    damage(data)
    with pytest.raises(NasError):
        Graph.from_json(data)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ops": 3}, "no network is described: 3 where a list of operations is expected; a graph as"),
        ({"ops": [5]}, "5 where an operation is expected"),
        ({"ops": [{"op": ["Add"]}]}, r"operation \['Add'\] is unknown; known are"),
        ({"ops": [{}]}, "operation None is unknown; known are"),
        (
            {"ops": [{"op": "Add", "inputs": ["input"]}]},
            "operation Add lacks 'output'; its fields are inputs, output, act",
        ),
        (
            {"ops": [{"op": "Scale", "inputs": [], "output": "s", "by": 2}]},
            "operation Scale has a field 'by'; its fields",
        ),
        ({"ops": [{"op": "Scale", "inputs": "input", "output": "s"}]}, "'input' where a list of tensors' names"),
        ({"input_shape": [4, 4]}, r"\[4, 4\] where 3 integers are expected"),
        ({"input_shape": None}, "None where 3 integers are expected"),
    ],
)
def test_what_is_wrong_with_a_description(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NasError, match=sentence):
        Graph.from_json(residual().to_json() | change)


def test_fields_with_a_default_may_be_missing() -> None:
    data = residual().to_json()
    del data["ops"][0]["dilation"]
    assert Graph.from_json(data) == residual()


def test_one_operation_is_enough() -> None:
    assert Graph((1, 1, 4), (Sigmoid(inputs=("input",), output="s"),)).macs == 0


def test_weights_of_4_bits_survive_json_and_change_the_digest() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.dense(builder.conv(builder.conv(builder.input, 8, 3), 4, weight_bits=4), 2, weight_bits=4)
    graph = builder.build()
    eight = graph.with_weight_bits(8)
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph != eight
    assert graph == eight.with_weight_bits(4)
    assert graph.digest != eight.digest
    assert [row.get("weight_bits") for row in graph.to_json()["ops"]] == [None, 4, 4]
    assert (graph.params, graph.macs) == (eight.params, eight.macs)


def test_weights_of_8_bits_are_written_as_before_there_were_others() -> None:
    graph = network("ds-cnn-s")
    assert "weight_bits" not in json.dumps(graph.to_json())
    assert graph.with_weight_bits(4).with_weight_bits(8).digest == graph.digest


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight_bits": 2}, "Conv2D 'a' has weight_bits 2; 8 or 4 expected"),
        ({"weight_bits": 4, "kernel": (3, 3)}, r"weight_bits 4 with kernel \(3, 3\) and stride \(1, 1\)"),
        ({"weight_bits": 4, "stride": (2, 2)}, r"weight_bits 4 with kernel \(1, 1\) and stride \(2, 2\)"),
    ],
)
def test_other_bits_of_weights_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        Conv2D(**{"inputs": ("input",), "output": "a", "filters": 2, "kernel": (1, 1), **fields})
    with pytest.raises(NasError, match="FullyConnected 'a' has weight_bits True; 8 or 4 expected"):
        FullyConnected(inputs=("input",), output="a", units=2, weight_bits=True)
