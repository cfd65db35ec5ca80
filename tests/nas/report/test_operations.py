"""Rows add up to what the graph and the estimators say of the whole network; what a plan does is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from estimators import estimate, load_target, lower
from firmware.int8_file import save_model
from nas.report.operations import Anatomy, live_bytes, take_apart
from search_spaces import Activation, FrontEnd, Graph, GraphBuilder, NasError, Padding, network
from search_spaces.frontend import Features
from tests.strategies import graphs, random_int8_model

TARGET = "stm32l4r9"


def condenser() -> Graph:
    """One additive attention condenser: S*V without a step, upsampling fused into the sum."""
    builder = GraphBuilder((5, 7, 2))
    v = builder.conv(builder.input, 4, 3)
    q = builder.max_pool(v, 2, 2)
    e = builder.depthwise(q, 3, multiplier=2)
    e = builder.conv(e, 4, activation=Activation.NONE)
    a = builder.upsample(e, (5, 7))
    builder.add(builder.scale(v), a)
    return builder.build("condenser")


@given(graphs())
@settings(max_examples=50)
def test_rows_add_up_to_the_whole(graph: Graph) -> None:
    plan = lower(graph, load_target(TARGET))
    anatomy = Anatomy("random", graph, plan)
    rows, resources = anatomy.rows[1:], estimate(plan)
    assert [row.name for row in rows] == [op.output for op in graph.ops]
    assert sum(row.macs for row in rows) == graph.macs
    assert sum(row.params for row in rows) == graph.params
    assert anatomy.weights_bytes == resources.weights_bytes
    told = [row.on_target for row in rows if row.on_target is not None]
    assert len(told) == len(rows)
    assert round(sum(part.cycles for part in told)) == pytest.approx(resources.cycles, abs=1)
    assert [part.step for part in told if part.step is not None] == list(range(len(plan.steps)))
    live = [part.live_bytes for part in told if part.live_bytes is not None]
    assert max(live) <= resources.arena_bytes
    json.dumps(anatomy.to_json())


def test_live_bytes_by_hand() -> None:
    builder = GraphBuilder((4, 4, 1))
    x = builder.conv(builder.input, 2)  # 32 bytes
    y = builder.conv(x, 3)  # 48
    z = builder.conv(y, 2)  # 32, within y
    builder.add(x, z)  # over x or z
    plan = lower(builder.build(), load_target(TARGET))
    scratch = [step.scratch_bytes for step in plan.steps]
    assert [live_bytes(plan, i) - scratch[i] for i in range(4)] == [16 + 32, 32 + 48, 32 + 48, 32 + 32]
    told = [row.on_target.note for row in Anatomy("shared", plan.graph, plan).rows[1:] if row.on_target]
    assert told == ["", "", "overlaps its input", "in place"]


def test_steps_that_take_turns_say_so() -> None:
    builder = GraphBuilder((8, 8, 2))
    builder.dense(builder.conv(builder.conv(builder.input, 32, 3), 2, 3), 3)
    plan = lower(builder.build(), load_target(TARGET), "ram")
    told = [row.on_target.note for row in Anatomy("by rows", plan.graph, plan).rows[1:] if row.on_target]
    assert told == ["row by row", "row by row", ""]


def test_what_the_plan_does_with_a_condenser() -> None:
    anatomy = take_apart(condenser(), TARGET)
    by_kind = {row.kind: row for row in anatomy.rows}
    assert by_kind["UpsampleNearest"].remarks == ("from 3x4", f"fused into {by_kind['Add'].name}")
    assert by_kind["Scale"].remarks == ("free: its input's bytes",)
    assert by_kind["Add"].on_target is not None
    assert by_kind["Add"].on_target.step == 4
    document = anatomy.to_json()
    rows = {row["op"]: row for row in document["operations"]}
    assert rows["UpsampleNearest"]["fused_into"] == by_kind["Add"].name
    assert (rows["Scale"]["step"], rows["Scale"]["cycles"], rows["Scale"]["live_bytes"]) == (None, 0, None)
    assert (rows["Scale"]["free"], rows["UpsampleNearest"]["free"], rows["Add"]["free"]) == (True, False, False)
    assert document["resources"]["kinds"]["cycles"].startswith("fitted")


def test_a_scaled_upsampling_is_fused_too() -> None:
    builder = GraphBuilder((4, 4, 2))
    v = builder.conv(builder.input, 2)
    a = builder.scale(builder.upsample(builder.max_pool(v, 2, 2), (4, 4)))
    total = builder.add(v, a)
    rows = {row.kind: row for row in take_apart(builder.build(), TARGET).rows}
    for kind in ("UpsampleNearest", "Scale"):
        assert rows[kind].remarks[-1] == f"fused into {total}"


def test_headings_and_details() -> None:
    builder = GraphBuilder((9, 12, 3))
    x = builder.conv(builder.input, 4, (3, 5), (2, 1), dilation=(1, 2), padding=Padding.VALID)
    x = builder.depthwise(x, 3, 2, multiplier=2, activation=Activation.RELU6)
    x = builder.add(x, x)
    x = builder.upsample(x, (5, 5))
    builder.softmax(builder.dense(builder.global_avg_pool(x), 2))
    found = [(row.heading, row.details) for row in take_apart(builder.build()).rows]
    assert found == [
        ("Input", ()),
        ("Conv2D 3x5", ("stride 2x1", "dilation 1x2", "no padding", "ReLU")),
        ("DepthwiseConv2D 3x3", ("multiplier 2", "stride 2", "ReLU6")),
        ("Add", ("with itself",)),
        ("UpsampleNearest", ("from 2x2",)),
        ("AvgPool global", ()),
        ("FullyConnected", ()),
        ("Softmax", ()),
    ]


def test_counts_of_one_layer_by_hand() -> None:
    row = take_apart("mlperf-ic-resnet8").rows[1]
    assert (row.macs, row.params, row.weights_bytes) == (32 * 32 * 16 * 27, 16 * 28, 16 * 27)
    assert (row.shape, row.output_bytes) == ((32, 32, 16), 16_384)
    assert row.to_json() == {
        "name": "conv0",
        "op": "Conv2D",
        "inputs": ["input"],
        "kernel": [3, 3],
        "stride": [1, 1],
        "dilation": [1, 1],
        "padding": "same",
        "filters": 16,
        "activation": "relu",
        "weight_bits": 8,
        "output_shape": [32, 32, 16],
        "output_bytes": 16_384,
        "macs": 442_368,
        "params": 448,
        "weights_bytes": 432,
    }


@pytest.mark.parametrize(
    ("front", "heading"),
    [
        (FrontEnd(), "MFCC front end"),
        (FrontEnd(features=Features.LOG_MEL, coefficients=0), "Log-mel front end"),
    ],
)
def test_a_front_end_is_the_first_row(front: FrontEnd, heading: str) -> None:
    builder = GraphBuilder(front.shape, front)
    builder.dense(builder.input, 2)
    anatomy = take_apart(builder.build("sound"))
    first = anatomy.rows[0]
    assert (first.heading, first.details) == (heading, ("window 512", "hop 320", "40 mel bands"))
    assert (first.name, first.shape) == ("input", front.shape)
    assert anatomy.to_json()["frontend"] == front.to_json()
    planned = take_apart(anatomy.graph, TARGET)
    told = [row.on_target for row in planned.rows if row.on_target is not None]
    assert len(told) == 2
    assert told[0].note == ""
    assert planned.resources is not None
    assert sum(part.cycles for part in told) == pytest.approx(planned.resources.cycles, abs=1)


def test_titles(tmp_path: Path) -> None:
    graph = network("mlperf-ic-resnet8")
    (tmp_path / "mine.json").write_text(json.dumps(graph.to_json()))
    (tmp_path / "nameless.json").write_text(json.dumps(graph.to_json() | {"name": ""}))
    model = random_int8_model(condenser(), np.random.default_rng(0))
    assert take_apart("mlperf-ic-resnet8").title == "mlperf-ic-resnet8"
    assert take_apart(graph).title == "mlperf-ic-resnet8"
    assert take_apart(tmp_path / "mine.json").title == "mlperf-ic-resnet8 (mine.json)"
    assert take_apart(tmp_path / "nameless.json").title == "nameless.json"
    assert take_apart(model).title == "condenser"
    assert take_apart(save_model(model, tmp_path / "condenser.int8")).title == "condenser.int8"
    assert take_apart(Graph(graph.input_shape, graph.ops)).title == "network"


def test_bad_names() -> None:
    with pytest.raises(NasError, match="network 'nothing' is unknown"):
        take_apart("nothing")
    with pytest.raises(NasError, match="target 'stm32' is unknown"):
        take_apart("cifar-lite", "stm32")
