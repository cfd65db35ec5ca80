from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from firmware import reference
from firmware.int8_model import Quant
from nas.training.convert import to_int8_model
from nas.training.fake_quant import rescale
from nas.training.network import Network, Seen
from nas.training.ranges import extremes
from search_spaces.builder import GraphBuilder
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Softmax
from tests.strategies import ALL_OPS, graphs, seeds

INPUT_QUANT = Quant(1 / 255, -128)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(graph: Graph, seed: int = 0) -> Network:
    """A network with random statistics in its BatchNorms and random factors, as if it had been trained."""
    net = Network(graph, INPUT_QUANT, generator(seed))
    noise = generator(seed + 1)
    for layer in net.layers.values():
        with torch.no_grad():
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=noise) / 4)
            if layer.gamma is not None:
                layer.gamma.copy_(torch.rand(layer.bias.shape, generator=noise) + 0.5)
                layer.mean.copy_(torch.randn(layer.bias.shape, generator=noise))
                layer.variance.copy_(torch.rand(layer.bias.shape, generator=noise) + 0.5)
    for factor in net.factors.values():
        with torch.no_grad():
            factor.raw.copy_(torch.randn((), generator=noise) * 2)  # factors of about 0.02 to 4
    return net.eval()


def images(graph: Graph, count: int, seed: int = 0) -> tuple[np.ndarray, torch.Tensor]:
    """Random int8 images and the real numbers that they stand for, channels first."""
    integers = np.random.default_rng(seed).integers(-128, 128, (count, *graph.input_shape)).astype(np.int8)
    real = (integers.astype(np.float32) + 128) / 255
    return integers, torch.from_numpy(real).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def everything() -> Graph:
    builder = GraphBuilder((9, 11, 3))
    x = builder.conv("input", 8, 3, 2, activation=Activation.RELU6)
    y = builder.conv(builder.depthwise(x, multiplier=2, dilation=2), 8, activation=Activation.NONE)
    x = builder.add(x, y, Activation.RELU)
    gate = builder.sigmoid(builder.upsample(builder.max_pool(x, 2, 2), builder.shape(x)[:2]))
    gated = builder.add(builder.scale(builder.mul(x, gate)), x)
    x = builder.mul(gated, builder.scale(builder.avg_pool(x, 3, 1)))
    builder.dense(builder.global_avg_pool(x), 10)
    return builder.build("everything")


@torch.no_grad()
def test_folding_changes_nothing() -> None:
    net = network(everything())
    _, x = images(net.graph, 4)
    before = net(x)
    net.fold()
    torch.testing.assert_close(net(x), before, rtol=1e-4, atol=1e-4)
    assert all(layer.gamma is None for layer in net.layers.values())


@torch.no_grad()
def test_normalised_are_convolutions_but_not_the_classifier() -> None:
    builder = GraphBuilder((4, 4, 1))
    x = builder.dense(builder.depthwise(builder.conv("input", 2)), 3)
    builder.conv(x, 2)
    layers = Network(builder.build(), INPUT_QUANT, generator()).layers
    assert [name for name, layer in layers.items() if layer.gamma is not None] == ["conv0", "depthwise1"]


@settings(max_examples=60)
@given(graphs(max_ops=4, ops=[op for op in ALL_OPS if op is not Softmax]), seeds())
@torch.no_grad()
def test_fake_quantised_numbers_are_those_of_the_integers(graph: Graph, seed: int) -> None:
    """As a whole but for a few; and operation by operation, on the integers' own inputs, never by more than one."""
    net = network(graph, seed)
    integers, x = images(graph, 200, seed)
    net.fold()
    seen: Seen = {}
    net(x, seen=seen)
    ranges = extremes(seen)
    net.quantise_with(ranges)
    model = to_int8_model(net, ranges)
    assert model.quant == net.quant
    expected = reference.run_all(model, integers)
    assert (_steps_apart(net(x, logits=False), expected[graph.output], model.output_quant) == 0).mean() > 0.99
    for op in graph.ops:
        inputs = [_real(expected[name], model.quant[name]) for name in op.inputs]
        found = net._round(op, *net._compute(op, inputs))
        assert _steps_apart(found, expected[op.output], model.quant[op.output]).max() <= 1, op


def _real(integers: np.ndarray, quant: Quant) -> torch.Tensor:
    """What the bytes stand for, channels first."""
    return (torch.from_numpy(integers).permute(0, 3, 1, 2).float() - quant.zero_point) * quant.scale


def _steps_apart(real: torch.Tensor, integers: np.ndarray, quant: Quant) -> np.ndarray:
    count, height, width, channels = integers.shape
    found = real.reshape(count, channels, height, width).permute(0, 2, 3, 1).numpy()
    return np.abs(np.rint(found / quant.scale) + quant.zero_point - integers)


@torch.no_grad()
def test_every_tensor_of_a_deeper_network_is_the_integers() -> None:
    net = network(everything())
    integers, x = images(net.graph, 50)
    net.fold()
    seen: Seen = {}
    net(x, seen=seen)
    ranges = extremes(seen)
    net.quantise_with(ranges)
    tensors: dict[str, np.ndarray] = {}
    expected = reference.run_all(to_int8_model(net, ranges), integers)

    round_as_before = net._round

    def recording(op, y, nudge):  # type: ignore[no-untyped-def]
        rounded = round_as_before(op, y, nudge)
        tensors[op.output] = rounded.permute(0, 2, 3, 1).numpy()
        return rounded

    net._round = recording  # type: ignore[method-assign]
    net(x)
    for name, values in tensors.items():
        quant = net.quant[name]
        difference = np.abs(np.rint(values / quant.scale) + quant.zero_point - expected[name])
        assert difference.max() <= 1, name
        assert (difference == 0).mean() > 0.999, name


def scaled(factor: float) -> Network:
    """A dense layer and a Scale of its output by ``factor``, which the sum of both reads."""
    builder = GraphBuilder((1, 1, 3))
    x = builder.dense("input", 4)
    builder.add(builder.scale(x), x)
    net = network(builder.build())
    with torch.no_grad():
        net.factors["scale1"].raw.copy_(torch.tensor(factor).expm1().log())  # the inverse of softplus
    return net


def test_a_factor_is_1_at_first_and_always_positive() -> None:
    net = Network(scaled(1.0).graph, INPUT_QUANT, generator())
    factor = net.factors["scale1"]
    assert float(factor.value.detach()) == pytest.approx(1.0, abs=1e-6)
    with torch.no_grad():
        factor.raw.fill_(-20.0)
    assert 0 < float(factor.value.detach()) < 1e-8


@torch.no_grad()
def test_a_factor_multiplies_the_scale_and_no_integer_changes() -> None:
    net = scaled(2.7)
    _, x = images(net.graph, 100)
    torch.testing.assert_close(net(x) / 3.7, net.layers["dense0"](x).flatten(1))
    net.fold()
    seen: Seen = {}
    net(x, seen=seen)
    assert set(seen) == {"dense0", "add2"}  # what a Scale gives has no range of its own
    net.quantise_with(extremes(seen))
    before, after = net.quant["dense0"], net.quant["scale1"]
    factor = float(net.factors["scale1"].value)
    assert after == Quant(factor * before.scale, before.zero_point)
    steps = torch.arange(-128, 128)
    passed = rescale((steps - before.zero_point).float() * before.scale, before, after)
    assert torch.equal(passed, (steps - before.zero_point).float() * after.scale)
    model = to_int8_model(net, extremes(seen))
    assert model.quant == net.quant


def test_folding_fixes_the_factors() -> None:
    net = scaled(2.7)
    before = net.factors["scale1"].value.detach().clone()
    assert len(list(net.factors["scale1"].parameters())) == 1
    net.fold()
    assert list(net.factors["scale1"].parameters()) == []
    assert torch.equal(net.factors["scale1"].value, before)
    net.fold()
    assert torch.equal(net.factors["scale1"].value, before)


@pytest.mark.parametrize("folded", [False, True])
def test_factors_are_part_of_the_state(folded: bool) -> None:
    net, other = scaled(2.7), scaled(0.3)
    if folded:
        net.fold()
        other.fold()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.factors["scale1"].value, net.factors["scale1"].value)


@torch.no_grad()
def test_softmax_at_the_end_is_left_out_of_logits() -> None:
    builder = GraphBuilder((2, 2, 1))
    builder.softmax(builder.dense("input", 3))
    net = network(builder.build())
    _, x = images(net.graph, 2)
    torch.testing.assert_close(net(x, logits=False), torch.softmax(net(x), 1))


def test_ranges_are_seen_after_the_activation() -> None:
    builder = GraphBuilder((1, 1, 1))
    x = builder.conv("input", 2, activation=Activation.RELU6)
    builder.dense(builder.max_pool(builder.conv(x, 2, activation=Activation.NONE), 1, 1), 2)
    net = Network(builder.build(), INPUT_QUANT, generator()).eval()
    with torch.no_grad():
        first, second, _ = net.layers.values()
        first.weight.copy_(torch.tensor([1000.0, -5]).reshape(2, 1, 1, 1))
        second.weight.copy_(torch.tensor([[1.0, 0], [-2, 0]]).reshape(2, 2, 1, 1))
        seen: Seen = {}
        net(torch.ones(1, 1, 1, 1), seen=seen)
    assert set(seen) == {"conv0", "conv1", "dense3"}
    ranges = extremes(seen)
    assert ranges["conv0"] == (0, 6)
    assert ranges["conv1"] == pytest.approx((-12, 6), rel=1e-4)


def test_gradients_reach_every_parameter_in_either_phase() -> None:
    net = Network(everything(), INPUT_QUANT, generator()).train()
    _, x = images(net.graph, 8)
    for phase in ("float", "quantised"):
        if phase == "quantised":
            net.fold()
            seen: Seen = {}
            net(x, seen=seen)
            net.quantise_with(extremes(seen))
            net.zero_grad()
        net(x).square().sum().backward()
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None, (phase, name)
            assert parameter.grad.abs().sum() > 0, (phase, name)
