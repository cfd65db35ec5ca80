"""The constants of a front end: everything that its arithmetic reads beside the samples.

Numpy, torch and C read these tables and nothing else, so they cannot differ. Fixed-point formats: Qn means an integer
divided by 2**n.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware.int8_model import Quant
from search_spaces.frontend import Features, FrontEnd

Int16 = NDArray[np.int16]

WINDOW_BITS: Final = 15
TWIDDLE_BITS: Final = 14
"""One is 2**14: a factor of one multiplies exactly, so that a kernel may leave it out."""
SPLIT_BITS: Final = 15
POWER_SHIFT: Final = 8
"""Leaves room for MEL_BITS: the powers of all bins of a frame add up to less than 2**58."""
MEL_BITS: Final = 12
LOG_BITS: Final = 9
LOG_SEGMENTS: Final = 64
LOG_TABLE_BITS: Final = 14
LOG_FLOOR: Final = 22
"""Least logarithm of a mel band: about what noise of one unit of the samples gives in the narrowest band."""
LOG_CENTRE: Final = 41
"""Middle of the logarithms that occur, from LOG_FLOOR up to 60 for a tone of full scale."""
TRANSFORM_BITS: Final = 9

LOG_MEL_GAIN: Final = 6
"""Steps of int8 per octave of power (3.01 dB) of a log-mel value: the whole range fits."""
LEVEL_GAIN: Final = 1.0
"""Steps of int8 per unit of the first cepstral coefficient (a unit is one octave in an orthonormal transform)."""
CEPSTRUM_GAIN: Final = 2.4
CEPSTRUM_POWER: Final = 0.75
"""Coefficient k >= 1 has CEPSTRUM_GAIN * k ** CEPSTRUM_POWER steps per unit: the spread of speech's coefficients falls
about so, and each then uses the same part of int8."""

FEATURE_QUANT: Final = Quant(1 / 32, 0)
"""What a network takes the bytes for: numbers of about -4 to 4."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Constants of one front end. N is ``fft_size``, M is N / 2.

    Attributes:
        window: Q15 (window,), periodic Hann.
        order: (M,) the complex input at which each place of the in-place transform begins.
        twiddle_cos, twiddle_sin: Q14 (3 M / 4,) of exp(-2 pi i k / M): real part, and imaginary part.
        split_cos, split_sin: Q15 (bins,) of exp(-2 pi i k / N) for the bins from ``first_bin``.
        first_bin: the first bin that belongs to a mel band.
        edges: (mel_bands + 2,) bins counted from ``first_bin`` at which the segments between band edges begin; the last
            one is the number of bins.
        rising: Q12 (bins,) weight of a bin in the band that rises over its segment; the rest goes to the falling one.
        log: Q14 (65,) log2(1 + i / 64).
        transform: Q9 (coefficients, mel_bands) cosine transform in steps of int8; None for log-mel features.
    """

    frontend: FrontEnd
    window: Int16
    order: NDArray[np.uint16]
    twiddle_cos: Int16
    twiddle_sin: Int16
    split_cos: Int16
    split_sin: Int16
    first_bin: int
    edges: NDArray[np.uint16]
    rising: Int16
    log: Int16
    transform: Int16 | None

    @property
    def bins(self) -> int:
        """Bins of the spectrum that are computed."""
        return len(self.rising)


@lru_cache(maxsize=32)
def tables(frontend: FrontEnd) -> Tables:
    """The constants of ``frontend``."""
    size = frontend.fft_size
    half = size // 2
    angle = 2 * np.pi * np.arange(3 * half // 4) / half
    first, edges, rising = _mel(frontend)
    split = 2 * np.pi * (first + np.arange(len(rising))) / size
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frontend.window) / frontend.window)
    return Tables(
        frontend=frontend,
        window=_fixed(hann * (1 - 2.0**-WINDOW_BITS), WINDOW_BITS),
        order=np.array(_order(half), np.uint16),
        twiddle_cos=_fixed(np.cos(angle), TWIDDLE_BITS),
        twiddle_sin=_fixed(-np.sin(angle), TWIDDLE_BITS),
        split_cos=_fixed(np.cos(split) * (1 - 2.0**-SPLIT_BITS), SPLIT_BITS),
        split_sin=_fixed(-np.sin(split) * (1 - 2.0**-SPLIT_BITS), SPLIT_BITS),
        first_bin=first,
        edges=edges,
        rising=rising,
        log=_fixed(np.log2(1 + np.arange(LOG_SEGMENTS + 1) / LOG_SEGMENTS), LOG_TABLE_BITS),
        transform=_transform(frontend) if frontend.features is Features.MFCC else None,
    )


def stages(half: int) -> tuple[int, ...]:
    """Lengths that the passes over ``half`` complex values combine to: one of radix 2 where needed, then radix 4."""
    lengths = []
    length = half
    while length > 1:
        lengths.append(length)
        length //= 4 if length % 4 == 0 else 2
    return tuple(reversed(lengths))


def mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The mel scale, 2595 log10(1 + f / 700), as HTK and torchaudio's default have it."""
    return 2595 * np.log10(1 + np.asarray(hz, dtype=np.float64) / 700)


def _order(half: int) -> list[int]:
    """Decimation in time: a transform of length n takes every fourth value to each of its four parts."""
    if half == 1:
        return [0]
    radix = 4 if half % 4 == 0 else 2
    part = _order(half // radix)
    return [start + radix * index for start in range(radix) for index in part]


def _mel(frontend: FrontEnd) -> tuple[int, NDArray[np.uint16], Int16]:
    """First bin, edges and rising weights of triangular bands, their corners evenly spaced in mel."""
    low, high = float(mel(frontend.low_hz)), float(mel(frontend.high_hz))
    corners = 700 * (10 ** (np.linspace(low, high, frontend.mel_bands + 2) / 2595) - 1)
    hz = np.arange(frontend.fft_size // 2 + 1) * frontend.sample_rate / frontend.fft_size
    segment = np.searchsorted(corners, hz, side="right") - 1
    inside = np.flatnonzero((segment >= 0) & (segment <= frontend.mel_bands))
    first, segment, hz = int(inside[0]), segment[inside], hz[inside]
    rising = (hz - corners[segment]) / (corners[segment + 1] - corners[segment])
    edges = np.searchsorted(segment, np.arange(frontend.mel_bands + 2))
    return first, edges.astype(np.uint16), _fixed(rising, MEL_BITS)


def _transform(frontend: FrontEnd) -> Int16:
    """Rows of the orthonormal DCT-II, each times its gain."""
    bands = frontend.mel_bands
    k, j = np.arange(frontend.coefficients)[:, None], np.arange(bands)[None, :]
    dct = np.sqrt(2 / bands) * np.cos(np.pi * k * (j + 0.5) / bands)
    dct[0] /= np.sqrt(2)
    return _fixed(dct * gains(frontend.coefficients)[:, None], TRANSFORM_BITS)


def gains(coefficients: int) -> NDArray[np.float64]:
    """Steps of int8 per unit of each cepstral coefficient."""
    k = np.arange(coefficients, dtype=np.float64)
    return np.where(k == 0, LEVEL_GAIN, CEPSTRUM_GAIN * k**CEPSTRUM_POWER)


def _fixed(values: NDArray[np.float64], bits: int) -> Int16:
    rounded = np.rint(values * 2.0**bits)
    assert np.abs(rounded).max() < 1 << 15, "every table is of 16 bits"
    return rounded.astype(np.int16)
