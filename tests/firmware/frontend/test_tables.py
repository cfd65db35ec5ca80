"""The constants against other people's formulas, and against values by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torchaudio
from hypothesis import given
from scipy.fft import dct
from scipy.signal.windows import hann

from firmware.frontend.tables import gains, mel, stages, tables
from search_spaces.frontend import FrontEnd
from tests.firmware.frontend.front_ends import SOME, front_ends

EVERY = pytest.mark.parametrize("frontend", SOME, ids=lambda frontend: frontend.name)


@EVERY
def test_window_is_a_periodic_hann_window(frontend: FrontEnd) -> None:
    expected = hann(frontend.window, sym=False) * (2**15 - 1)
    np.testing.assert_allclose(tables(frontend).window, expected, atol=0.5 + 1e-9)


def test_passes_over_the_transform() -> None:
    assert stages(128) == (2, 8, 32, 128)
    assert stages(256) == (4, 16, 64, 256)
    assert stages(512) == (2, 8, 32, 128, 512)
    assert stages(1024) == (4, 16, 64, 256, 1024)


def test_order_of_the_inputs_by_hand() -> None:
    order = tables(FrontEnd()).order
    # 256 places are four digits to base 4: place 0123 begins at value 3210.
    assert order[:8].tolist() == [0, 64, 128, 192, 16, 80, 144, 208]
    for place in (0, 1, 27, 100, 255):
        digits = [place >> shift & 3 for shift in (0, 2, 4, 6)]
        assert order[place] == digits[0] * 64 + digits[1] * 16 + digits[2] * 4 + digits[3]


@EVERY
def test_order_is_a_permutation(frontend: FrontEnd) -> None:
    order = tables(frontend).order
    assert sorted(order.tolist()) == list(range(frontend.fft_size // 2))


@EVERY
def test_twiddles_lie_on_the_circle(frontend: FrontEnd) -> None:
    constants, half = tables(frontend), frontend.fft_size // 2
    turn = np.exp(-2j * np.pi * np.arange(3 * half // 4) / half) * 2**14
    np.testing.assert_allclose(constants.twiddle_cos, turn.real, atol=0.5 + 1e-9)
    np.testing.assert_allclose(constants.twiddle_sin, turn.imag, atol=0.5 + 1e-9)
    assert (constants.twiddle_cos[0], constants.twiddle_sin[0]) == (2**14, 0)


@EVERY
def test_mel_bands_are_torchaudios(frontend: FrontEnd) -> None:
    constants = tables(frontend)
    got = np.zeros((frontend.fft_size // 2 + 1, frontend.mel_bands + 2))
    for segment, (begin, end) in enumerate(zip(constants.edges[:-1], constants.edges[1:], strict=True)):
        bins = constants.first_bin + np.arange(begin, end)
        got[bins, segment + 1] = constants.rising[begin:end] / 4096
        got[bins, segment] = 1 - constants.rising[begin:end] / 4096
    expected = torchaudio.functional.melscale_fbanks(
        frontend.fft_size // 2 + 1, float(frontend.low_hz), float(frontend.high_hz), frontend.mel_bands,
        frontend.sample_rate, norm=None, mel_scale="htk",
    )  # fmt: skip
    # Column 0 is the part below the lowest band, the last one the part above the highest.
    np.testing.assert_allclose(got[:, 1:-1], expected.numpy(), atol=0.5 / 4096 + 1e-3)


def test_mel_scale_by_hand() -> None:
    assert mel(0.0) == 0
    assert mel(700.0) == pytest.approx(2595 * np.log10(2))
    assert mel(1000.0) == pytest.approx(1000, abs=0.02)


@given(front_ends())
def test_every_bin_of_the_band_is_in_a_segment(frontend: FrontEnd) -> None:
    constants = tables(frontend)
    assert constants.edges[0] == 0
    assert constants.edges[-1] == constants.bins
    assert (np.diff(constants.edges.astype(int)) >= 0).all()
    assert constants.rising.min() >= 0
    assert constants.rising.max() <= 4096
    hz = (constants.first_bin + np.array([0, constants.bins - 1])) * frontend.sample_rate / frontend.fft_size
    assert frontend.low_hz - 1e-6 <= hz[0] <= hz[1] <= frontend.high_hz + 1e-6


@EVERY
def test_transform_is_an_orthonormal_cosine_transform(frontend: FrontEnd) -> None:
    constants = tables(frontend)
    if constants.transform is None:
        assert frontend.coefficients == 0
        return
    basis = dct(np.eye(frontend.mel_bands), axis=0, norm="ortho")[: frontend.coefficients]
    expected = basis * gains(frontend.coefficients)[:, None] * 512
    np.testing.assert_allclose(constants.transform, expected, atol=0.5 + 1e-9)


def test_logarithms_by_hand() -> None:
    log = tables(FrontEnd()).log
    assert len(log) == 65
    assert log[[0, 32, 64]].tolist() == [0, 9584, 16_384]  # log2(1.5) = 0.58496
    assert (np.diff(log) > 0).all()


@pytest.mark.parametrize("frontend", [*SOME, FrontEnd(mel_bands=60, coefficients=60)], ids=lambda front: front.name)
def test_cosine_transform_stays_within_32_bits(frontend: FrontEnd) -> None:
    transform = tables(frontend).transform
    if transform is not None:
        # Logarithms are from 22 to 63, in Q9 and less their middle 41.
        largest = np.abs(transform.astype(np.int64)).sum(axis=1).max() * (22 << 9)
        assert largest + (1 << 17) < 2**31
