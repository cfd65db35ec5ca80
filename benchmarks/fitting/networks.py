"""Networks of several layers: those that show what model.c spends on each call, and those that the fit never sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from estimators import estimate, lower
from estimators.targets import Target
from fitting.grid import Layer, repeated
from search_spaces import Graph, GraphBuilder, Shape, get_space, network, network_names

MOST_MACS: Final = 2_000_000
"""Of a random network: emulating more takes longer and shows nothing new."""

MOST_NAMED_MACS: Final = 20_000_000
"""Of a published network that is measured too."""

CLASSES: Final = 10

SPACES: Final[tuple[tuple[str, Shape], ...]] = (
    ("ds_cnn", (32, 32, 3)),
    ("attention_condenser", (49, 10, 1)),
    ("inverted_residual", (16, 16, 3)),
    ("bc_resnet", (40, 32, 1)),
    ("ds_cnn", (49, 10, 1)),
    ("attention_condenser", (47, 13, 1)),
    ("ds_cnn", (16, 16, 3)),
    ("attention_condenser", (12, 94, 1)),
)
"""Spaces that random networks are drawn from in turn, with the shape of their input."""


def random_networks(target: Target, count: int, rng: np.random.Generator) -> Iterator[Graph]:
    """Random networks of ``SPACES``, each in turn, that fit the target."""
    spaces = [get_space(name, shape, CLASSES) for name, shape in SPACES]
    found = 0
    while found < count:
        space = spaces[found % len(spaces)]
        graph = space.build(space.decode(space.draw(rng, 1)[0]))
        if graph.macs <= MOST_MACS and fits(graph, target):
            found += 1
            yield graph


def chains() -> Iterator[Graph]:
    """Each kernel five times in a row, so that what model.c spends on a call of it stands out, and many together.

    The last one has every kernel at its deepest stack, and so shows what model_invoke itself keeps there.
    """
    for layer in _CHAINED:
        yield repeated((4, 4, 8), layer, times=5)
    yield repeated((4, 4, 32), _mixed, times=4)


def _mixed(builder: GraphBuilder, x: str) -> str:
    """Calls of many kinds; more than 256 inputs for each output of the first."""
    y = builder.depthwise(builder.conv(x, 32, 3), 3)
    y = builder.conv(builder.depthwise(y, 5), 32)
    y = builder.mul(builder.sigmoid(y), builder.avg_pool(builder.max_pool(x, 2, 1), 3, 1))
    return builder.add(x, y)


def named_networks(target: Target) -> list[Graph]:
    """Published networks that are not too long to emulate and fit the target."""
    graphs = [network(name) for name in network_names()]
    return [graph for graph in graphs if graph.macs <= MOST_NAMED_MACS and fits(graph, target)]


def fits(graph: Graph, target: Target) -> bool:
    """Whether ``graph`` fits the target by the estimates, as far as they are known before the fit."""
    cost = estimate(lower(graph, target))
    return cost.sram_bytes <= target.usable_sram_bytes and cost.flash_bytes <= target.usable_flash_bytes


_CHAINED: Final[tuple[Layer, ...]] = (
    lambda builder, x: builder.conv(x, 8),
    lambda builder, x: builder.conv(x, 8, 3),
    lambda builder, x: builder.depthwise(x, 1),
    lambda builder, x: builder.depthwise(x),
    lambda builder, x: builder.depthwise(x, 5),
    lambda builder, x: builder.dense(x, 8),
    lambda builder, x: builder.conv(x, 8, weight_bits=4),
    lambda builder, x: builder.conv(builder.conv(x, 8), 8, weight_bits=4),
    lambda builder, x: builder.dense(x, 8, weight_bits=4),
    lambda builder, x: builder.max_pool(x, 2, 1),
    lambda builder, x: builder.avg_pool(x, 2, 1),
    lambda builder, x: builder.upsample(x, (4, 4)),
    lambda builder, x: builder.add(x, x),
    lambda builder, x: builder.mul(x, x),
    lambda builder, x: builder.sigmoid(x),
    lambda builder, x: builder.softmax(x),
)
