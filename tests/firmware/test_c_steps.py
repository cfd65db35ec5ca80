"""Steps as C: geometry, broadcasting and integers reach the kernels, and what a kernel cannot do is refused."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from estimators import load_target, lower
from firmware.c_steps import calls, tensors
from firmware.int8_model import Int8Model, LayerWeights, Quant
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.ops import Shape
from tests.strategies import random_int8_model


def model_of(builder: GraphBuilder) -> Int8Model:
    return random_int8_model(builder.build(), np.random.default_rng(0))


def written(model: Int8Model) -> list[str]:
    """Constants of every step, as one text each."""
    plan = lower(model.graph, load_target("stm32l4r9"))
    return ["\n".join(call.constants) for call in calls(model, plan)]


def members(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"\.(\w+) = (-?\d+),", text)}


def test_window_of_a_strided_same_convolution() -> None:
    builder = GraphBuilder((8, 5, 3))
    builder.conv("input", 2, (3, 4), (2, 3))
    params = members(written(model_of(builder))[0])
    # Rows: 4 outputs, 3 + 3 * 2 = 9 reached of 8: the odd row goes below. Columns: 2 outputs, 7 of 5: one on each side.
    expected = {
        "output_height": 4,
        "output_width": 2,
        "pad_top": 0,
        "pad_left": 1,
        "stride_width": 3,
        "kernel_width": 4,
    }
    assert expected.items() <= params.items()


def shapes_given(model: Int8Model) -> list[Shape]:
    """Output, first and second input as the last step's kernel is told of them."""
    text = written(model)[-1]
    found = []
    for name in ("output", "input1", "input2"):
        shape = re.search(rf"\.{name} = \{{(.*?)\}}", text, re.DOTALL)
        assert shape is not None
        numbers = members(shape[1])
        found.append((numbers["height"], numbers["width"], numbers["channels"]))
    return found


@pytest.mark.parametrize(
    ("second", "given"),
    [
        ((4, 3, 2), [(1, 1, 24), (1, 1, 24), (1, 1, 24)]),  # one run of bytes
        ((1, 3, 2), [(4, 1, 6), (4, 1, 6), (1, 1, 6)]),
        ((4, 1, 2), [(4, 3, 2), (4, 3, 2), (4, 1, 2)]),
        ((4, 3, 1), [(1, 12, 2), (1, 12, 2), (1, 12, 1)]),
        ((1, 1, 2), [(1, 12, 2), (1, 12, 2), (1, 1, 2)]),
        ((1, 1, 1), [(1, 1, 24), (1, 1, 24), (1, 1, 1)]),
    ],
)
def test_shapes_of_a_broadcast_operand(second: Shape, given: list[Shape]) -> None:
    builder = GraphBuilder((4, 3, 2))
    kernel = (4 // second[0], 3 // second[1])
    x = builder.avg_pool("input", kernel, kernel)
    if second[2] == 1:
        x = builder.conv(x, 1)
    builder.add("input", x)
    assert shapes_given(model_of(builder)) == given


def test_an_upsampled_operand_is_given_as_it_lies_in_memory() -> None:
    builder = GraphBuilder((5, 4, 3))
    small = builder.max_pool("input", 2, 2)
    builder.mul(builder.scale("input"), builder.scale(builder.upsample(small, (5, 4))))
    model = model_of(builder)
    assert shapes_given(model) == [(5, 4, 3), (5, 4, 3), (3, 2, 3)]
    plan = lower(model.graph, load_target("stm32l4r9"))
    call = calls(model, plan)[1]
    assert call.arguments == ("&params_1", "TENSOR_0", "TENSOR_1", "TENSOR_2")
    assert call.comment == "1: Mul mul4: 5x4x3 and 3x2x3 upsampled to 5x4x3 to 5x4x3, over input"


def test_a_scale_is_no_call_but_a_name() -> None:
    builder = GraphBuilder((2, 2, 3))
    x = builder.scale(builder.scale("input"))
    builder.scale(builder.conv(x, 2))
    model = model_of(builder)
    plan = lower(model.graph, load_target("stm32l4r9"))
    (call,) = calls(model, plan)
    scratch = f"arena + {plan.steps[0].scratch_offset // 4}"
    assert call.arguments == ("&params_0", "TENSOR_0", "filters_0", scratch, "4", "TENSOR_1")
    assert {name: tensor.comment for name, tensor in tensors(plan).items()} == {
        "input": "input = scale0 = scale1, 2x2x3, steps 0 to 0",
        "conv2": "conv2 = scale3, 2x2x2, steps 0 to 0",
    }


def test_calls_name_tensors_in_the_plan_s_order_and_place() -> None:
    builder = GraphBuilder((4, 4, 2))
    x = builder.conv("input", 2, 3)
    builder.add(x, "input")
    model = model_of(builder)
    plan = lower(model.graph, load_target("stm32l4r9"))
    first, second = calls(model, plan)
    scratch = f"arena + {plan.steps[0].scratch_offset // 4}"
    assert first.arguments == ("&params_0", "TENSOR_0", "filters_0", scratch, "4", "0", "4", "TENSOR_1")
    assert second.arguments == ("&params_1", "TENSOR_1", "TENSOR_0", "TENSOR_2")
    assert first.comment == "0: Conv2D conv0: 4x4x2 to 4x4x2, 576 MACs"
    assert second.comment.startswith("1: Add add1: 4x4x2 and 4x4x2 to 4x4x2, over ")
    assert [tensor.offset for tensor in tensors(plan).values()] == [p.offset for p in plan.placements.values()]


@pytest.mark.parametrize(
    ("layer", "end"),
    [
        (lambda builder: builder.conv("input", 6), ", running into input"),
        (lambda builder: builder.max_pool("input", 2, 2), ", running into input"),
        (lambda builder: builder.depthwise("input", 3), ", over input"),
        (lambda builder: builder.dense("input", 3), " MACs"),
    ],
)
def test_comments_tell_which_bytes_are_shared(layer: Callable[[GraphBuilder], str], end: str) -> None:
    builder = GraphBuilder((8, 8, 4))
    layer(builder)
    model = model_of(builder)
    (call,) = calls(model, lower(model.graph, load_target("stm32l4r9")))
    assert call.comment.endswith(end)


def test_sums_beyond_32_bits_are_refused() -> None:
    builder = GraphBuilder((1, 1, 1))
    graph = (builder.conv("input", 1), builder.build())[1]
    for bias, refused in ((2**31 - 1 - 127 * 255, False), (2**31 - 127 * 255, True)):
        layer = LayerWeights(
            np.full((1, 1, 1, 1), 127, np.int8), np.array([2.0**-20], np.float32), np.array([bias], np.int32)
        )
        model = Int8Model(graph, {"input": Quant(1.0, -128), graph.output: Quant(1.0, 0)}, {graph.output: layer})
        if refused:
            with pytest.raises(NasError, match=f"'{graph.output}': its sums can reach {2**31}, beyond 32 bits"):
                written(model)
        else:
            written(model)
