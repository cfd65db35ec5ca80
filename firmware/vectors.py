"""Test vectors: inputs with the outputs that every implementation must give for them, as C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware.c_text import checked_name, rows
from firmware.int8_model import INT8_MAX, INT8_MIN, Int8Model
from firmware.render import render
from search_spaces.errors import NasError

DEFAULT_VECTORS = 4
"""Vectors drawn when none are given."""


def checked_vectors(model: Int8Model, vectors: NDArray[np.int8] | None) -> NDArray[np.int8]:
    """``vectors`` (int8, N x height x width x channels), or four of uniform random bytes where None are given.

    The random ones are the same every time. Raises NasError for vectors that do not fit the model's input, or none.
    """
    shape = model.graph.input_shape
    if vectors is None:
        draw = np.random.default_rng(0)
        return draw.integers(INT8_MIN, INT8_MAX, (DEFAULT_VECTORS, *shape), np.int8, endpoint=True)
    if vectors.dtype != np.int8 or vectors.ndim != 4 or vectors.shape[1:] != shape or len(vectors) == 0:
        raise NasError(
            f"vectors are {vectors.dtype} {vectors.shape}; int8 (N, {', '.join(map(str, shape))}) with N >= 1 expected"
        )
    return vectors


def write_vectors(folder: Path, inputs: NDArray[np.int8], outputs: NDArray[np.int8], name: str = "model") -> None:
    """Writes ``vectors.h`` and ``vectors.c`` into ``folder``, for the network whose C is prefixed with ``name``.

    ``inputs`` and ``outputs`` are int8, one row of any shape per vector.
    """
    values = {
        "name": checked_name(name),
        "prefix": name.upper(),
        "count": len(inputs),
        "inputs": [rows(vector) for vector in inputs],
        "outputs": [rows(vector) for vector in outputs],
    }
    for file in ("vectors.h", "vectors.c"):
        (folder / file).write_text(render(file, values), encoding="ascii", newline="\n")
