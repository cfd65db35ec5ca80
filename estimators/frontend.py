"""What an audio front end costs: memory, constants, and the loops that its cycles are counted from.

Cycles of one clip are a linear model, like those of the kernels; its terms are what the loops of
``firmware/kernels/frontend*.c`` run over:

============  ==========================================================================
pairs         pairs of samples windowed
first_by_2    butterflies of a first pass of radix 2, which has no twiddles
first_by_4    butterflies of a first pass of radix 4
butterflies   butterflies of the other passes that turn three values
blocks        transforms made out of four, the butterfly that turns nothing included
splits        pairs of bins split and squared
bins          bins summed in mel bands
bands         logarithms
products      products of a pair of bands in the cosine transform
coefficients  cepstral coefficients
levels        values of log-mel features
frames        1 for each frame
============  ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, get_args

from estimators.blocks import aligned
from search_spaces.frontend import Features, FrontEnd

FrontEndTerm = Literal[
    "pairs",
    "first_by_2",
    "first_by_4",
    "butterflies",
    "blocks",
    "splits",
    "bins",
    "bands",
    "products",
    "coefficients",
    "levels",
    "frames",
]

FRONT_END_TERMS: Final[tuple[FrontEndTerm, ...]] = get_args(FrontEndTerm)

STREAM_BYTES: Final = 12
"""Counters of what was heard so far (``frontend_stream`` in ``firmware/kernels/frontend.h``)."""

PARAMS_BYTES: Final = 72
"""The structure of numbers and pointers (``frontend_params``)."""

_WEIGHT_ONE: Final = 1 << 12
"""Weight 1 of a bin in a mel band."""


def scratch_bytes(frontend: FrontEnd) -> int:
    """Bytes of the network's arena in which a frame is transformed: a word for each point of the FFT."""
    return 4 * frontend.fft_size


def data_bytes(frontend: FrontEnd) -> int:
    """Bytes of static variables: samples of the frame that fills up, features of the newest frames, counters."""
    return aligned(2 * frontend.window) + aligned(frontend.frames * frontend.values) + STREAM_BYTES


def table_bytes(frontend: FrontEnd) -> int:
    """Bytes of constants in flash: the tables, each on a word boundary, and the structure that points to them."""
    half = frontend.fft_size // 2
    first, bins = counted_bins(frontend)
    tables = (
        2 * frontend.window,
        half // _first_radix(half),
        4 * 3 * (half // 4),
        4 * _splits(half, first, bins),
        2 * (frontend.mel_bands + 1),
        2 * bins,
        4 * _products(frontend),
    )
    return sum(map(aligned, tables)) + PARAMS_BYTES


@lru_cache(maxsize=256)
def terms(frontend: FrontEnd) -> Mapping[FrontEndTerm, int]:
    """How often the loops run for one clip."""
    half = frontend.fft_size // 2
    radix = _first_radix(half)
    first, bins = counted_bins(frontend)
    length, passes, blocks = radix, 0, 0
    while length < half:
        length *= 4
        passes += 1
        blocks += half // length
    of_a_frame: dict[FrontEndTerm, int] = {
        "pairs": frontend.window // 2,
        "first_by_2": half // 2 if radix == 2 else 0,
        "first_by_4": half // 4 if radix == 4 else 0,
        "butterflies": passes * half // 4 - blocks,
        "blocks": blocks,
        "splits": _splits(half, first, bins),
        "bins": bins,
        "bands": frontend.mel_bands,
        "products": _products(frontend),
        "coefficients": frontend.coefficients,
        "levels": frontend.values if frontend.features is Features.LOG_MEL else 0,
        "frames": 1,
    }
    return {term: frontend.frames * count for term, count in of_a_frame.items()}


def cycles(frontend: FrontEnd, prices: Mapping[FrontEndTerm, float]) -> float:
    """Cycles of one clip at ``prices`` per unit of each term."""
    counts = terms(frontend)
    return sum(price * counts[term] for term, price in prices.items())


def counted_bins(frontend: FrontEnd) -> tuple[int, int]:
    """First bin that counts in a mel band, and how many do.

    The bins lie from the lower edge to the upper one; where they meet an edge, their weight of 12 bits is nothing.
    """
    hz = frontend.sample_rate / frontend.fft_size
    bottom, top = frontend.low_hz, frontend.high_hz
    low, high = _mel(bottom), _mel(top)
    step = (high - low) / (frontend.mel_bands + 1)
    second, last_but_one = _hz(low + step), _hz(high - step)
    first, last = math.ceil(bottom / hz), math.floor(top / hz)
    while first * hz < second and _weight((first * hz - bottom) / (second - bottom)) == 0:
        first += 1
    while last * hz >= last_but_one and _weight((last * hz - last_but_one) / (top - last_but_one)) == _WEIGHT_ONE:
        last -= 1
    return first, last - first + 1


def _first_radix(half: int) -> int:
    """Radix of the first pass over ``half`` complex values; the others have radix 4."""
    return 4 if half.bit_length() % 2 else 2


def _splits(half: int, first: int, bins: int) -> int:
    """Bins are computed in pairs, from both ends to the middle, as far as one of a pair counts."""
    return half // 2 - min(first, half - (first + bins - 1)) + 1


def _products(frontend: FrontEnd) -> int:
    return frontend.coefficients * ((frontend.mel_bands + 1) // 2)


def _weight(share: float) -> int:
    return round(_WEIGHT_ONE * share)


def _mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _hz(mel: float) -> float:
    return float(700 * (10 ** (mel / 2595) - 1))
