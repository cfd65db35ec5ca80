"""The attention-condenser space builds what its choices say, and every condenser gives back the shape of its input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import (
    Add,
    AttentionCondenser,
    Conv2D,
    DepthwiseConv2D,
    FrontEnd,
    Graph,
    Mul,
    Shape,
    UpsampleNearest,
    Value,
    get_space,
)
from search_spaces.published.tinyspeech import tinyspeech_choices

INPUTS: tuple[Shape, ...] = ((49, 10, 1), (47, 13, 1), (98, 40, 1), (32, 32, 3), (8, 8, 1))

EMBEDDING = ["DepthwiseConv2D", "Conv2D", "DepthwiseConv2D", "Conv2D"]
HEAD = ["Conv2D", "AvgPool", "FullyConnected"]


def build(shape: Shape = (8, 8, 1), blocks: int = 1, **changes: Value) -> Graph:
    """A network of 6 channels whose blocks are alike; a change such as ``pool`` goes to every block."""
    choices = tinyspeech_choices(6, ((12, 3, 6, 6),) * blocks, 8)
    for name, value in changes.items():
        found = [known for known in choices if known in (name, *(f"block{block}_{name}" for block in range(1, 7)))]
        assert found, name
        choices |= dict.fromkeys(found, value)
    return AttentionCondenser(shape, 10).build(choices)


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


@pytest.mark.parametrize(
    ("attention", "batch_norm", "selective"),
    [
        ("additive", False, ["UpsampleNearest", "Scale", "Add"]),
        ("additive", True, ["UpsampleNearest", "DepthwiseConv2D", "Add"]),
        ("gated", False, ["Sigmoid", "UpsampleNearest", "Mul", "Scale", "Add"]),
        ("gated", True, ["Sigmoid", "UpsampleNearest", "Mul", "Scale", "Add", "DepthwiseConv2D"]),
    ],
)
def test_operations_in_order(attention: str, batch_norm: bool, selective: list[str]) -> None:
    condenser = ["MaxPool", *EMBEDDING, *selective]
    assert kinds(build(attention=attention, batch_norm=batch_norm)) == ["Conv2D", *condenser, "Add", *HEAD]
    twice = build(attention=attention, batch_norm=batch_norm, condensers=2, blocks=2)
    assert kinds(twice) == ["Conv2D", *([*condenser * 2, "Add"] * 2), *HEAD]


def test_edges_of_a_gated_condenser() -> None:
    graph = build(attention="gated", batch_norm=False)
    made = {op.kind: op for op in graph.ops}
    v = graph.ops[0].output
    inner_add, residual = (op for op in graph.ops if isinstance(op, Add))
    assert made["MaxPool"].inputs == (v,)
    assert made["Mul"].inputs == (v, made["UpsampleNearest"].output)
    assert made["Scale"].inputs == (made["Mul"].output,)
    assert inner_add.inputs == (made["Scale"].output, v)  # V * sigmoid(A) * S + V
    assert residual.inputs == (v, inner_add.output)


def test_edges_of_an_additive_condenser_with_batch_norm() -> None:
    graph = build(attention="additive", batch_norm=True)
    v = graph.ops[0].output
    inner_add, residual = (op for op in graph.ops if isinstance(op, Add))
    share = next(op for op in graph.ops if op.output == inner_add.inputs[0])
    assert isinstance(share, DepthwiseConv2D)
    assert (share.inputs, share.kernel, share.multiplier, share.activation.value) == ((v,), (1, 1), 1, "none")
    assert inner_add.inputs[1] == next(op.output for op in graph.ops if isinstance(op, UpsampleNearest))
    assert residual.inputs == (v, inner_add.output)


def test_embedding_follows_its_choices() -> None:
    graph = build(kernel=3, grouped="none", inner="none", outer="relu", width=9)
    first, second, third, last = graph.ops[2:6]
    assert isinstance(first, DepthwiseConv2D)
    assert isinstance(second, Conv2D)
    assert isinstance(third, DepthwiseConv2D)
    assert isinstance(last, Conv2D)
    assert (first.kernel, first.multiplier, third.kernel, third.multiplier) == ((3, 3), 2, (3, 3), 2)
    assert [graph.shapes[op.output][2] for op in (first, second, third, last)] == [12, 9, 18, 6]
    assert [op.activation.value for op in (first, second, third, last)] == ["none", "none", "none", "relu"]
    plain = build(multiplier=1)
    assert [plain.shapes[op.output][2] for op in plain.ops[2:6]] == [6, 3, 3, 6]


@pytest.mark.parametrize("pool", ["max", "average", "depthwise"])
@pytest.mark.parametrize(
    ("shape", "factor", "condensed"),
    [
        ((49, 10, 1), 2, (25, 5)),
        ((49, 10, 1), 4, (13, 3)),
        ((47, 13, 1), 2, (24, 7)),
        ((47, 13, 1), 3, (16, 5)),
        ((47, 13, 1), 4, (12, 4)),
        ((3, 2, 1), 4, (1, 1)),  # smaller than the factor
    ],
)
def test_condensation_of_odd_sizes(pool: str, shape: Shape, factor: int, condensed: tuple[int, int]) -> None:
    graph = build(shape, pool=pool, factor=factor)
    condense = graph.ops[1]
    expand = next(op for op in graph.ops if isinstance(op, UpsampleNearest))
    assert graph.shapes[condense.output] == (*condensed, 6)
    assert graph.shapes[expand.output] == (*shape[:2], 6)


def test_a_map_of_one_position_is_not_expanded() -> None:
    assert "UpsampleNearest" not in kinds(build((1, 1, 1)))


def test_a_depthwise_condensation_reads_every_position() -> None:
    for factor, kernel in ((2, 3), (3, 3), (4, 5)):
        condense = build(pool="depthwise", factor=factor).ops[1]
        assert isinstance(condense, DepthwiseConv2D)
        assert (condense.kernel, condense.stride) == ((kernel, kernel), (factor, factor))


def test_absent_blocks_leave_one_network_for_many_vectors() -> None:
    space = AttentionCondenser((8, 8, 1), 10)
    base = tinyspeech_choices(7, ((14, 3, 6, 7),) * 2, 17)
    assert space.build(base).digest == space.build(base | {"block3_width": 32, "block6_kernel": 3}).digest
    assert space.build(base).digest != space.build(base | {"block2_width": 32}).digest


def test_dense_layer_and_stride_of_the_stem() -> None:
    graph = build((49, 10, 1), dense=17, stem_stride=2)
    assert graph.shapes[graph.ops[0].output] == (25, 5, 6)
    assert [graph.shapes[op.output] for op in graph.ops[-3:]] == [(1, 1, 8), (1, 1, 17), (1, 1, 10)]


def check(graph: Graph, choices: dict[str, Value]) -> None:
    """Every block, and every condenser in it, gives back the shape of its input; no operand is broadcast."""
    stem = graph.shapes[graph.ops[0].output]
    for op in graph.ops:
        if isinstance(op, Add | Mul):
            assert {graph.shapes[name] for name in (*op.inputs, op.output)} == {stem}
    blocks = int(choices["blocks"])
    condensers = sum(int(choices[f"block{block}_condensers"]) for block in range(1, blocks + 1))
    assert kinds(graph).count("Add") == blocks + condensers
    assert graph.output_shape == (1, 1, 10)


@pytest.mark.parametrize("shape", INPUTS)
def test_hundreds_of_members(shape: Shape) -> None:
    space = get_space("attention_condenser", shape, 10)
    for row in space.draw(np.random.default_rng(3), 300):
        choices = space.decode(row)
        check(space.build(choices), choices)


def test_members_start_from_sound() -> None:
    frontends = (FrontEnd(), FrontEnd(hop=480, coefficients=13))
    space = get_space("attention_condenser", frontends[0].shape, 10, frontends)
    for row in space.draw(np.random.default_rng(4), 20):
        choices = space.decode(row)
        graph = space.build(choices)
        assert graph.frontend == space.frontends[str(choices["front_end"])]
        check(graph, choices)


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    channels=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_every_vector_is_a_network_for_every_input(height: int, width: int, channels: int, seed: int) -> None:
    space = AttentionCondenser((height, width, channels), 10)
    choices = space.decode(space.draw(np.random.default_rng(seed), 1)[0])
    check(space.build(choices), choices)


def test_most_draws_are_of_a_microcontrollers_size() -> None:
    space = AttentionCondenser((49, 10, 1), 12)
    graphs = [space.build(space.decode(row)) for row in space.draw(np.random.default_rng(5), 300)]
    assert np.median([graph.macs for graph in graphs]) < 2e6
    assert np.quantile([graph.params for graph in graphs], 0.9) < 40_000
