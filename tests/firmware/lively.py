"""Random models in which no tensor is nearly constant: there an error would vanish."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware import reference
from firmware.int8_model import Int8Model
from search_spaces.graph import Graph
from tests.strategies import random_input, random_int8_model

SEEDS = 500


def lively_model(
    graph: Graph, values: int = 9, images: int = 6
) -> tuple[Int8Model, NDArray[np.int8], dict[str, NDArray[np.int8]]]:
    """Model, images and every tensor's expected bytes, each tensor with at least ``values`` different ones."""
    for seed in range(SEEDS):
        model = random_int8_model(graph, np.random.default_rng(seed))
        x = random_input(model, images, np.random.default_rng(0))
        expected = reference.run_all(model, x)
        if min(len(np.unique(tensor)) for tensor in expected.values()) >= values:
            return model, x, expected
    raise AssertionError(f"none of {SEEDS} random models has {values} values in every tensor")
