"""The front end's arithmetic, integer by integer: the specification that torch and C follow.

For each frame of 16-bit samples:

1. Window: ``x = sample * window``, 31 bits; zeros up to the FFT's size.
2. FFT of pairs of samples as complex numbers, in place, decimation in time. A pass of radix 4 multiplies by twiddles
   and divides by 4 in one step (``x * w >> 16`` with w in Q14); one of radix 2, first where the size asks for it, has
   no twiddles and divides by 2. So nothing overflows 32 bits and each pass rounds towards minus infinity.
3. Split into the spectrum of the real signal, halved once more; squared magnitudes, of 64 bits, lose POWER_SHIFT bits.
4. Mel bands: each bin is shared between the band that rises over it and the one that falls.
5. log2 with LOG_BITS fractional bits, from a table with linear interpolation, not below LOG_FLOOR.
6. MFCC: cosine transform, rounded to int8; log-mel: scaled and rounded to int8.

All shifts are arithmetic, so they round towards minus infinity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware.frontend.tables import (
    LOG_BITS,
    LOG_CENTRE,
    LOG_FLOOR,
    LOG_MEL_GAIN,
    LOG_SEGMENTS,
    LOG_TABLE_BITS,
    MEL_BITS,
    POWER_SHIFT,
    TRANSFORM_BITS,
    Tables,
    stages,
    tables,
)
from firmware.int8_model import INT8_MAX, INT8_MIN
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

Int64 = NDArray[np.int64]

_MANTISSA = 16
_CLIPS = 64
"""Clips at a time: more would leave the processor's cache."""


def features(frontend: FrontEnd, clips: NDArray[np.int16]) -> NDArray[np.int8]:
    """Features (int8, N x frames x values x 1) of ``clips`` (int16, N x samples).

    Raises NasError for an array of another type or length.
    """
    if clips.dtype != np.int16 or clips.ndim != 2 or clips.shape[1] != frontend.samples:
        raise NasError(f"clips are {clips.dtype} {clips.shape}; int16 (N, {frontend.samples}) expected")
    starts = np.arange(frontend.frames) * frontend.hop
    picks = starts[:, None] + np.arange(frontend.window)
    result = np.empty((len(clips), *frontend.shape), np.int8)
    for first in range(0, len(clips), _CLIPS):
        frames = clips[first : first + _CLIPS, picks].reshape(-1, frontend.window)
        result[first : first + _CLIPS] = frame_features(frontend, frames).reshape(-1, *frontend.shape)
    return result


def frame_features(frontend: FrontEnd, frames: NDArray[np.int16]) -> NDArray[np.int8]:
    """Features (int8, N x values) of ``frames`` (int16, N x window)."""
    constants = tables(frontend)
    return _to_int8(constants, log_mel(constants, frames)).T


def log_mel(constants: Tables, frames: NDArray[np.int16]) -> Int64:
    """Logarithms of the mel bands, Q9 (mel_bands, N), of ``frames`` (int16, N x window)."""
    return _log2(_bands(constants, _power(constants, *_transformed(constants, frames))))


def _transformed(constants: Tables, frames: NDArray[np.int16]) -> tuple[Int64, Int64]:
    """Real and imaginary parts (M, N) of the complex transform of sample pairs, divided by M."""
    half = len(constants.order)
    windowed = np.zeros((2 * half, len(frames)), np.int64)
    windowed[: constants.frontend.window] = frames.T.astype(np.int64) * constants.window[:, None].astype(np.int64)
    re, im = windowed[0::2][constants.order], windowed[1::2][constants.order]
    before = 1
    for length in stages(half):
        if length == 2 * before:
            re, im = _radix2(re), _radix2(im)
        else:
            re, im = _radix4(constants, re, im, length)
        before = length
    return re, im


def _radix2(x: Int64) -> Int64:
    pairs = x.reshape(-1, 2, x.shape[1]) >> 1
    return np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(x.shape)


def _radix4(constants: Tables, re: Int64, im: Int64, length: int) -> tuple[Int64, Int64]:
    """Combines four transforms of ``length / 4`` that lie side by side into one of ``length``, everywhere."""
    quarter, step = length // 4, len(constants.order) // length
    r, i = (x.reshape(-1, 4, quarter, x.shape[1]) for x in (re, im))
    parts = [(r[:, 0] >> 2, i[:, 0] >> 2)]
    for part in (1, 2, 3):
        k = part * step * np.arange(quarter)
        c, s = (table[k].astype(np.int64)[:, None] for table in (constants.twiddle_cos, constants.twiddle_sin))
        a, b = r[:, part], i[:, part]
        parts.append(((a * c >> 16) - (b * s >> 16), (a * s >> 16) + (b * c >> 16)))
    (ar, ai), (br, bi), (cr, ci), (dr, di) = parts
    even_r, even_i, odd_r, odd_i = ar + cr, ai + ci, ar - cr, ai - ci
    sum_r, sum_i, difference_r, difference_i = br + dr, bi + di, br - dr, bi - di
    out_r = [even_r + sum_r, odd_r + difference_i, even_r - sum_r, odd_r - difference_i]
    out_i = [even_i + sum_i, odd_i - difference_r, even_i - sum_i, odd_i + difference_r]
    return np.stack(out_r, axis=1).reshape(re.shape), np.stack(out_i, axis=1).reshape(im.shape)


def _power(constants: Tables, re: Int64, im: Int64) -> Int64:
    """Squared magnitudes (bins, N) of the real signal's spectrum."""
    half = len(re)
    k = (constants.first_bin + np.arange(constants.bins)) % half
    mirrored = (half - constants.first_bin - np.arange(constants.bins)) % half
    ar, ai, br, bi = re[k], im[k], re[mirrored], im[mirrored]
    even_r, even_i = (ar >> 2) + (br >> 2), (ai >> 2) - (bi >> 2)
    odd_r, odd_i = (ai >> 1) + (bi >> 1), (br >> 1) - (ar >> 1)
    c, s = (table.astype(np.int64)[:, None] for table in (constants.split_cos, constants.split_sin))
    x = even_r + (odd_r * c >> 16) - (odd_i * s >> 16)
    y = even_i + (odd_r * s >> 16) + (odd_i * c >> 16)
    power: Int64 = x * x + y * y >> POWER_SHIFT
    return power


def _bands(constants: Tables, power: Int64) -> Int64:
    """Energies (mel_bands, N): of each segment between corners the rising part goes to one band, the rest below."""
    rising = power * constants.rising[:, None]
    edges = constants.edges.astype(np.intp)
    up, total = (_segments(x, edges) for x in (rising, power))
    energies: Int64 = up[:-1] + (total[1:] << MEL_BITS) - up[1:]
    return energies


def _segments(x: Int64, edges: NDArray[np.intp]) -> Int64:
    """Sums of the rows of ``x`` between ``edges``; an empty segment gives 0."""
    running = np.concatenate([np.zeros((1, x.shape[1]), np.int64), np.cumsum(x, axis=0)])
    sums: Int64 = running[edges[1:]] - running[edges[:-1]]
    return sums


def _log2(x: Int64) -> Int64:
    """log2 in Q9 of integers below 2**63; not below LOG_FLOOR."""
    x = np.maximum(x, 1 << LOG_FLOOR)
    exponent = np.zeros(x.shape, np.int64)
    for bits in (32, 16, 8, 4, 2, 1):
        large = (x >> (exponent + bits)) > 0
        exponent += np.where(large, bits, 0)
    mantissa = (x >> (exponent - _MANTISSA)) - (1 << _MANTISSA)  # the exponent is at least LOG_FLOOR
    segment_bits = _MANTISSA - (LOG_SEGMENTS - 1).bit_length()
    index, rest = mantissa >> segment_bits, mantissa & ((1 << segment_bits) - 1)
    table = _LOG_TABLE
    fraction = table[index] + ((table[index + 1] - table[index]) * rest >> segment_bits)
    result: Int64 = (exponent << LOG_BITS) + (fraction >> (LOG_TABLE_BITS - LOG_BITS))
    return result


_LOG_TABLE: Int64 = np.rint(np.log2(1 + np.arange(LOG_SEGMENTS + 1) / LOG_SEGMENTS) * (1 << LOG_TABLE_BITS)).astype(
    np.int64
)


def _to_int8(constants: Tables, logs: Int64) -> NDArray[np.int8]:
    """Features (values, N) of logarithms in Q9."""
    centred = logs - (LOG_CENTRE << LOG_BITS)
    if constants.transform is None:
        scaled = (centred * LOG_MEL_GAIN + (1 << (LOG_BITS - 1))) >> LOG_BITS
    else:
        shift = LOG_BITS + TRANSFORM_BITS
        scaled = (constants.transform.astype(np.int64) @ centred + (1 << (shift - 1))) >> shift
    limited: Int64 = np.clip(scaled, INT8_MIN, INT8_MAX)
    return limited.astype(np.int8)
