"""Integers for networks that were never trained, such as training gives."""

from __future__ import annotations

from typing import Final

import numpy as np

from firmware.c_elementwise import mul_run
from firmware.int8_model import WEIGHTED, Int8Model
from firmware.integers import add_integers, mul_integers
from firmware.linear_add import linear_add
from firmware.requantization import Requantization, requantization_table
from kernel_bench.calibrated import calibrated_model
from search_spaces import Add, Graph, Mul, Op

TRIES: Final = 50


def usual_model(graph: Graph, rng: np.random.Generator) -> Int8Model:
    """``graph`` with random weights and calibrated ranges, such that every layer takes its kernel's fast form.

    So do 998 of 1,000 layers of networks that were trained (``results``), while of random ones every thirtieth network
    has a layer whose sums are too weak, which has to be requantised the long way. Those are drawn anew.

    Raises ValueError where none of TRIES is right.
    """
    for _ in range(TRIES):
        model = calibrated_model(graph, rng)
        if all(is_fast(model, op) for op in graph.ops):
            return model
    raise ValueError(f"{graph.name or 'network'}: no random integers let every layer take its kernel's fast form")


def is_fast(model: Int8Model, op: Op) -> bool:
    """Whether the integers of ``op`` let its kernel take its fast form; kernels without one always do."""
    if isinstance(op, WEIGHTED):
        return requantization_table(model, op).kind is not Requantization.GENERAL
    if isinstance(op, Add):
        return linear_add(add_integers(model, op)) is not None
    if isinstance(op, Mul):
        return bool(mul_run(mul_integers(model, op))["fast"])
    return True
