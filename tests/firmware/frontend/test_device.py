"""The constants in the C's layout are the specification's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from firmware.frontend.c_source import constants, members
from firmware.frontend.device import device_tables, pairs
from firmware.frontend.tables import tables
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd
from tests.firmware.frontend.front_ends import front_ends


def unpacked(words: np.ndarray) -> np.ndarray:
    """Pairs (N, 2)."""
    return np.stack([words & 0xFFFF, words >> 16], axis=-1).astype(np.uint16).astype(np.int16)


def test_pairs_by_hand() -> None:
    assert pairs(np.array([1, -1], np.int16), np.array([2, 0], np.int16)).tolist() == [0x0002_0001, 0x0000_FFFF]


@given(front_ends())
def test_every_number_is_where_the_c_reads_it(frontend: FrontEnd) -> None:
    numbers, found = tables(frontend), device_tables(frontend)
    half = frontend.fft_size // 2
    radix = 4 if half in (256, 1024) else 2
    butterflies = half // radix

    # The first pass: butterfly m reads the pairs m + i * butterflies, and its results begin at place m.
    window, taken = iter(unpacked(found.taper)), []
    for m in range(butterflies):
        begin = radix * int(found.places[m])
        assert numbers.order[begin : begin + radix].tolist() == [m + butterflies * i for i in range(radix)]
        for pair in range(m, frontend.window // 2, butterflies):
            assert next(window).tolist() == numbers.window[2 * pair : 2 * pair + 2].tolist()
            taken.append(pair)
    assert sorted(taken) == list(range(frontend.window // 2))

    turns = unpacked(found.twiddles).reshape(half // 4, 3, 2)
    for k in (0, 1, half // 4 - 1):
        for i in (1, 2, 3):
            assert turns[k, i - 1].tolist() == [numbers.twiddle_cos[i * k], numbers.twiddle_sin[i * k]]

    bins = found.first_bin + np.arange(len(found.weights))
    assert bins.min() >= 1
    assert bins.max() < half
    split = unpacked(found.split)
    assert len(split) == half // 2 - found.split_bin + 1
    for cos, sin, bin_ in zip(
        numbers.split_cos, numbers.split_sin, numbers.first_bin + np.arange(numbers.bins), strict=True
    ):
        if bin_ in bins:
            mirrored = bin_ > half // 2
            low = half - bin_ if mirrored else bin_
            assert split[low - found.split_bin].tolist() == [-cos if mirrored else cos, sin]

    # What is left out of the bands has weight 0 where it rises from nothing, or 1 where it falls to nothing.
    skipped = found.first_bin - numbers.first_bin
    assert (numbers.rising[:skipped] == 0).all()
    assert (numbers.rising[skipped + len(bins) :] == 4096).all()
    np.testing.assert_array_equal(found.weights, numbers.rising[skipped : skipped + len(bins)])
    np.testing.assert_array_equal(found.segments[1:-1], np.diff(numbers.edges.astype(int))[1:-1])
    assert found.segments.sum() == len(bins)

    if numbers.transform is None:
        assert found.transform is None
    else:
        assert found.transform is not None
        rows = unpacked(found.transform).reshape(frontend.coefficients, -1)
        np.testing.assert_array_equal(rows[:, : frontend.mel_bands], numbers.transform)
        assert (rows[:, frontend.mel_bands :] == 0).all()


def test_bins_0_and_at_half_the_rate_are_left_out() -> None:
    found = device_tables(FrontEnd(low_hz=0, high_hz=8000))
    assert (found.first_bin, len(found.weights)) == (1, 255)
    assert tables(FrontEnd(low_hz=0, high_hz=8000)).bins == 257


def test_a_band_without_a_frequency_is_refused() -> None:
    # 62.5 Hz from bin to bin: 3000 Hz itself has weight 0.
    with pytest.raises(NasError, match="no frequency of its FFT lies between 3000 and 3050 Hz"):
        device_tables(FrontEnd(window=256, hop=128, low_hz=3000, high_hz=3050))


def test_as_c() -> None:
    frontend = FrontEnd(features=Features.LOG_MEL, coefficients=0)
    text = "\n".join(constants(frontend))
    assert "static const uint32_t twiddles[192] = {\n    0x00004000u, 0x00004000u, 0x00004000u, " in text
    assert "static const uint8_t places[64]" in text
    assert "transform" not in text
    assert members(frontend, "arena", "samples", "rows")["transform"] == 0
    assert members(FrontEnd(), "arena", "samples", "rows")["transform"] == "transform"
