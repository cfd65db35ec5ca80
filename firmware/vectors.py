"""Test vectors: inputs with the outputs that every implementation must give for them, as C.

A network with a front end also has test clips, with the features that its front end must give for them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware.c_text import checked_name, rows
from firmware.frontend import reference
from firmware.int8_model import INT8_MAX, INT8_MIN, Int8Model
from firmware.render import render
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

DEFAULT_VECTORS = 4
"""Vectors drawn when none are given."""

Int8 = NDArray[np.int8]
Int16 = NDArray[np.int16]


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


def checked_clips(frontend: FrontEnd | None, clips: Int16 | None) -> Int16 | None:
    """``clips`` (int16, N x samples), or two made-up ones; None for a network without a front end.

    Raises NasError for clips that do not fit the front end, none at all, and clips without a front end.
    """
    if frontend is None:
        if clips is not None:
            raise NasError("clips are given, and the network has no front end; features as vectors expected")
        return None
    if clips is None:
        return _made_up(frontend)
    if clips.dtype != np.int16 or clips.ndim != 2 or clips.shape[1] != frontend.samples or len(clips) == 0:
        raise NasError(f"clips are {clips.dtype} {clips.shape}; int16 (N, {frontend.samples}) with N >= 1 expected")
    return clips


def with_features(frontend: FrontEnd | None, clips: Int16 | None) -> tuple[Int16, Int8] | None:
    """``clips`` with their features; None where there are none."""
    if frontend is None or clips is None:
        return None
    return clips, reference.features(frontend, clips)


def _made_up(frontend: FrontEnd) -> Int16:
    """A swelling tone that glides up over faint noise, and noise at full scale that stops and starts."""
    draw = np.random.default_rng(0)
    time = np.arange(frontend.samples) / frontend.sample_rate
    length = frontend.samples / frontend.sample_rate
    sweep = (frontend.high_hz - frontend.low_hz) / length
    tone = np.sin(2 * np.pi * (frontend.low_hz + sweep / 2 * time) * time) * np.sin(np.pi * time / length) ** 2
    glide = 20_000 * tone + 20 * draw.standard_normal(frontend.samples)
    bursts = np.where(np.sin(2 * np.pi * 7 * time / length) > 0, 40_000 * draw.standard_normal(frontend.samples), 0)
    return np.clip(np.rint([glide, bursts]), -32_768, 32_767).astype(np.int16)


def write_vectors(
    folder: Path, inputs: Int8, outputs: Int8, name: str = "model", sound: tuple[Int16, Int8] | None = None
) -> None:
    """Writes ``vectors.h`` and ``vectors.c`` into ``folder``, for the network whose C is prefixed with ``name``.

    ``inputs`` and ``outputs`` are int8, one row of any shape per vector; ``sound`` are clips and their features.
    """
    values = {
        "name": checked_name(name),
        "prefix": name.upper(),
        "count": len(inputs),
        "inputs": [rows(vector) for vector in inputs],
        "outputs": [rows(vector) for vector in outputs],
        "clips": [] if sound is None else [rows(clip) for clip in sound[0]],
        "features": [] if sound is None else [rows(clip) for clip in sound[1]],
    }
    for file in ("vectors.h", "vectors.c"):
        (folder / file).write_text(render(file, values), encoding="ascii", newline="\n")
