from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from firmware import reference
from firmware.int8_model import Quant
from nas.training.convert import to_int8_model
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
    """A network with random statistics in its BatchNorms, as if it had been trained."""
    net = Network(graph, INPUT_QUANT, generator(seed))
    noise = generator(seed + 1)
    for layer in net.layers.values():
        with torch.no_grad():
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=noise) / 4)
            if layer.gamma is not None:
                layer.gamma.copy_(torch.rand(layer.bias.shape, generator=noise) + 0.5)
                layer.mean.copy_(torch.randn(layer.bias.shape, generator=noise))
                layer.variance.copy_(torch.rand(layer.bias.shape, generator=noise) + 0.5)
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
    x = builder.mul(builder.mul(x, gate), builder.avg_pool(x, 3, 1))
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
    net = network(graph, seed)
    integers, x = images(graph, 200, seed)
    net.fold()
    seen: Seen = {}
    net(x, seen=seen)
    ranges = extremes(seen)
    net.quantise_with(ranges)
    model = to_int8_model(net, ranges)
    assert model.quant == net.quant
    expected = reference.run(model, integers)
    found = net(x, logits=False).reshape(200, expected.shape[3], *expected.shape[1:3]).permute(0, 2, 3, 1).numpy()
    difference = np.abs(np.rint(found / model.output_quant.scale) + model.output_quant.zero_point - expected)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99


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
