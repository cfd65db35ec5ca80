"""A front end's constants in the layout that the C reads (``firmware/kernels/frontend.h``).

They hold the same numbers as ``tables``, packed and put in the order of the C's loops. Bins that cannot count are left
out: one of weight 0 where the lowest band begins, and one of weight 1 where the highest band ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from firmware.frontend.tables import MEL_BITS, SPLIT_BITS, Tables, stages, tables
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

Words = NDArray[np.uint32]

TURNS = 3
"""Twiddles of a butterfly of radix 4."""


@dataclass(frozen=True, eq=False)
class DeviceTables:
    """Constants for ``frontend_params``; ``frontend.h`` says what each is. Pairs are words, the first number below."""

    frontend: FrontEnd
    first_bin: int
    split_bin: int
    taper: Words
    places: NDArray[np.uint8]
    twiddles: Words
    split: Words
    segments: NDArray[np.uint16]
    weights: NDArray[np.int16]
    transform: Words | None

    @property
    def arrays(self) -> dict[str, NDArray[np.integer]]:
        """The arrays by name, in the order of ``frontend_params``."""
        found: dict[str, NDArray[np.integer]] = {
            "taper": self.taper,
            "places": self.places,
            "twiddles": self.twiddles,
            "split": self.split,
            "segments": self.segments,
            "weights": self.weights,
        }
        return found if self.transform is None else found | {"transform": self.transform}


@lru_cache(maxsize=32)
def device_tables(frontend: FrontEnd) -> DeviceTables:
    """The constants of ``frontend`` as the device has them."""
    constants = tables(frontend)
    half = len(constants.order)
    radix = 2 if stages(half)[0] == 2 else 4
    first, segments, weights = _bins(constants)
    split_bin = min(first, half - (first + len(weights) - 1))
    return DeviceTables(
        frontend=frontend,
        first_bin=first,
        split_bin=split_bin,
        taper=_taper(constants.window, half // radix),
        # Digit reversal is its own inverse, so this tells places from inputs as well as inputs from places.
        places=constants.order[::radix].astype(np.uint8),
        twiddles=_twiddles(constants, half),
        split=_split(split_bin, half),
        segments=segments,
        weights=weights,
        transform=None if constants.transform is None else _even_pairs(constants.transform),
    )


def pairs(first: NDArray[np.int16], second: NDArray[np.int16]) -> Words:
    """Words of two 16-bit integers each, ``first`` in the low halves."""
    low, high = (part.astype(np.uint16).astype(np.uint32) for part in (first, second))
    return np.asarray(low | high << np.uint32(16), np.uint32)


def _taper(window: NDArray[np.int16], butterflies: int) -> Words:
    """Pairs of the window as the butterflies of the first pass take them: m, m + butterflies ... inside the window."""
    words = pairs(window[0::2], window[1::2])
    return np.concatenate([words[m::butterflies] for m in range(butterflies)])


def _twiddles(constants: Tables, half: int) -> Words:
    turns = pairs(constants.twiddle_cos, constants.twiddle_sin)
    return np.asarray(turns[np.arange(half // 4)[:, None] * np.arange(1, TURNS + 1)].ravel(), np.uint32)


def _split(first: int, half: int) -> Words:
    """Turns up to the middle: those of the bins above it are the same with the cosine's sign changed."""
    angle = np.pi * np.arange(first, half // 2 + 1) / half
    scale = (1 - 2.0**-SPLIT_BITS) * 2**SPLIT_BITS
    cos, sin = (np.rint(part * scale).astype(np.int16) for part in (np.cos(angle), -np.sin(angle)))
    return pairs(cos, sin)


def _bins(constants: Tables) -> tuple[int, NDArray[np.uint16], NDArray[np.int16]]:
    """First bin, bins of each segment, and rising weights of the bins that count."""
    counts = np.diff(constants.edges.astype(np.int64))
    weights = constants.rising
    first, end = 0, len(weights)
    while counts[0] and weights[first] == 0:
        first, counts[0] = first + 1, counts[0] - 1
    while counts[-1] and weights[end - 1] == 1 << MEL_BITS:
        end, counts[-1] = end - 1, counts[-1] - 1
    if first >= end:
        raise NasError(
            f"front end {constants.frontend.name!r}: no frequency of its FFT lies between "
            f"{constants.frontend.low_hz} and {constants.frontend.high_hz} Hz"
        )
    return constants.first_bin + first, counts.astype(np.uint16), weights[first:end]


def _even_pairs(transform: NDArray[np.int16]) -> Words:
    """Rows of pairs; a 0 makes the number of columns even."""
    padded = np.pad(transform, ((0, 0), (0, transform.shape[1] % 2)))
    return pairs(padded[:, 0::2], padded[:, 1::2]).ravel()
