"""Counts how many candidates of a space are drawn, built, lowered and estimated per second of one core.

Beside it, in the same run and for the same candidates, what searches on top of a framework do to learn less: build the
framework's module of each candidate and count parameters and MACs (torch by hooks during a forward pass; with --keras
also tf.keras). Their counts are checked against ours.

    python benchmarks/candidates_per_second.py [--candidates 4000] [--peers 200] [--keras]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from estimators import Target, estimate, load_target, lower
from search_spaces import (
    Activation,
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    Graph,
    SearchSpace,
    Shape,
    get_space,
    window,
)

SPACE, INPUT_SHAPE, CLASSES, TARGET = "ds_cnn", (32, 32, 3), 10, "stm32l4r9"

ROUNDS: Final = 5
"""The fastest of several rounds is taken: others share the machine."""

Counts = tuple[int, int]
"""Parameters and MACs."""


def ours(space: SearchSpace, target: Target, rng: np.random.Generator, count: int) -> list[Counts]:
    """Draws ``count`` vectors and estimates all of them: SRAM, flash, cycles, energy, parameters and MACs."""
    counts = []
    for row in space.draw(rng, count):
        resources = estimate(lower(space.build(space.decode(row)), target))
        counts.append((resources.params, resources.macs))
    return counts


def by_torch(graphs: Sequence[Graph]) -> list[Counts]:
    """Parameters and MACs of each graph's torch module, the MACs counted by hooks during a forward pass."""
    import torch

    torch.set_num_threads(1)
    counts = []
    for graph in graphs:
        module = _torch_module(graph)
        macs = 0

        def count(layer: Any, inputs: Any, output: Any) -> None:
            nonlocal macs
            macs += output.numel() * (layer.weight.numel() // layer.weight.shape[0])

        for layer in module.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                layer.register_forward_hook(count)
        height, width, channels = graph.input_shape
        with torch.no_grad():
            module(torch.zeros(1, channels, height, width))
        counts.append((sum(parameter.numel() for parameter in module.parameters()), macs))
    return counts


def _torch_module(graph: Graph) -> Any:
    import torch
    from torch import nn

    class Network(nn.Module):
        """The graph's operations as layers, called in order."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList()
            for op in graph.ops:
                shape = graph.shapes[op.inputs[0]]
                if isinstance(op, Conv2D | DepthwiseConv2D):
                    depthwise = isinstance(op, DepthwiseConv2D)
                    outputs, groups = graph.shapes[op.output][2], shape[2] if depthwise else 1
                    conv = nn.Conv2d(shape[2], outputs, op.kernel, op.stride, groups=groups)
                    layer: nn.Module = nn.Sequential(nn.ZeroPad2d(_padding(op, shape)), conv)
                elif isinstance(op, FullyConnected):
                    layer = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), op.units))
                else:
                    layer = nn.AvgPool2d(op.kernel) if isinstance(op, AvgPool) else nn.Identity()
                self.layers.append(layer)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            tensors = {graph.input: x}
            for op, layer in zip(graph.ops, self.layers, strict=True):
                first, *others = (tensors[name] for name in op.inputs)
                y = first + others[0] if isinstance(op, Add) else layer(first)
                clipped = getattr(op, "activation", Activation.NONE) is Activation.RELU
                tensors[op.output] = torch.relu(y) if clipped else y
            return tensors[graph.output]

    return Network()


def _padding(op: Conv2D | DepthwiseConv2D, shape: Shape) -> tuple[int, int, int, int]:
    """Left, right, top and bottom padding, as TFLite's SAME puts it."""
    sides: list[int] = []
    for size, kernel, stride in zip(shape[1::-1], op.kernel[::-1], op.stride[::-1], strict=True):
        out, before = window(size, kernel, stride, 1, op.padding)
        sides += [before, max((out - 1) * stride + kernel - size - before, 0)]
    return sides[0], sides[1], sides[2], sides[3]


def by_keras(graphs: Sequence[Graph]) -> list[Counts]:
    """Parameters and MACs of each graph's Keras model, the MACs from the layers' shapes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    layers = tf.keras.layers
    counts = []
    for graph in graphs:
        tf.keras.backend.clear_session()
        tensors = {graph.input: tf.keras.Input(graph.input_shape)}
        macs = 0
        for op in graph.ops:
            first = tensors[op.inputs[0]]
            activation = None if getattr(op, "activation", Activation.NONE) is Activation.NONE else "relu"
            if isinstance(op, Conv2D):
                layer = layers.Conv2D(op.filters, op.kernel, op.stride, padding="same", activation=activation)
            elif isinstance(op, DepthwiseConv2D):
                layer = layers.DepthwiseConv2D(op.kernel, op.stride, padding="same", activation=activation)
            elif isinstance(op, FullyConnected):
                first, layer = layers.Flatten()(first), layers.Dense(op.units)
            elif isinstance(op, AvgPool):
                layer = layers.AveragePooling2D(op.kernel)
            else:
                first, layer = [tensors[name] for name in op.inputs], layers.Add()
            output = tensors[op.output] = layer(first)
            if layer.weights:
                macs += int(np.prod(output.shape[1:-1])) * int(np.prod(layer.weights[0].shape))
        model = tf.keras.Model(tensors[graph.input], tensors[graph.output])
        counts.append((model.count_params(), macs))
    return counts


def per_second(work: Callable[[], list[Counts]], rounds: int) -> tuple[float, list[Counts]]:
    """Candidates per second of processor time in the fastest round, and what the last one counted."""
    fastest, counts = float("inf"), []
    for _ in range(rounds):
        start = time.process_time()
        counts = work()
        fastest = min(fastest, (time.process_time() - start) / len(counts))
    return 1 / fastest, counts


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=4000, help="drawn and estimated, over all rounds")
    parser.add_argument("--peers", type=int, default=200, help="of which frameworks build models")
    parser.add_argument("--keras", action="store_true", help="also build tf.keras models (slow)")
    options = parser.parse_args()
    space, target = get_space(SPACE, INPUT_SHAPE, CLASSES), load_target(TARGET)
    batch = max(1, options.candidates // ROUNDS)

    rate, expected = per_second(lambda: ours(space, target, np.random.default_rng(1), batch), ROUNDS)
    print(
        f"{SPACE} {INPUT_SHAPE}, {target.name}: {rate:,.0f} candidates/s drawn, built, lowered, estimated on one core"
    )
    rows = space.draw(np.random.default_rng(1), batch)[: options.peers]
    graphs = [space.build(space.decode(row)) for row in rows]
    peers = {"torch module, params and MACs by forward hooks": by_torch}
    if options.keras:
        peers["tf.keras model, params and MACs from its layers"] = by_keras
    for name, count in peers.items():
        count(graphs[:1])  # imports
        peer_rate, counts = per_second(lambda count=count: count(graphs), 2)  # type: ignore[misc]
        if counts != expected[: len(counts)]:
            raise SystemExit(f"error: {name} differ from ours")
        print(f"{name}: {peer_rate:,.1f} candidates/s; ours is {rate / peer_rate:,.0f} times as fast")


if __name__ == "__main__":
    main()
