"""The specification against floating point: numpy's FFT, torchaudio's mel bands and MFCC."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from hypothesis import given, settings

from firmware.frontend import reference
from firmware.frontend.tables import LOG_FLOOR, gains, tables
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd
from tests.firmware.frontend.front_ends import SOME, front_ends, stressful

EVERY = pytest.mark.parametrize("frontend", SOME, ids=lambda frontend: frontend.name)


def speech_like(frontend: FrontEnd, count: int = 4) -> np.ndarray:
    """Coloured noise whose loudness rises and falls."""
    rng = np.random.default_rng(3)
    noise = np.cumsum(rng.normal(0, 300, (count, frontend.samples)), axis=1)
    noise -= 0.97 * np.pad(noise, ((0, 0), (1, 0)))[:, :-1]
    loudness = 0.05 + np.abs(np.sin(np.linspace(0, 9, frontend.samples)))
    return np.clip(np.rint(5 * noise * loudness), -32_768, 32_767).astype(np.int16)


def frames_of(frontend: FrontEnd, clips: np.ndarray) -> np.ndarray:
    picks = np.arange(frontend.frames)[:, None] * frontend.hop + np.arange(frontend.window)
    return clips[:, picks].reshape(-1, frontend.window)


@EVERY
def test_transform_is_numpys(frontend: FrontEnd) -> None:
    frames = frames_of(frontend, speech_like(frontend))
    constants, half = tables(frontend), frontend.fft_size // 2
    re, im = reference._transformed(constants, frames)
    windowed = np.zeros((len(frames), 2 * half))
    windowed[:, : frontend.window] = frames * constants.window.astype(float)
    expected = np.fft.fft(windowed[:, 0::2] + 1j * windowed[:, 1::2], axis=1).T / half
    noise = np.mean(np.abs(re + 1j * im - expected) ** 2)
    signal = np.mean(np.abs(expected) ** 2)
    assert 10 * np.log10(signal / noise) > 65


@EVERY
def test_nothing_needs_more_than_32_bits(frontend: FrontEnd) -> None:
    re, im = reference._transformed(tables(frontend), frames_of(frontend, stressful(frontend.samples)))
    assert max(np.abs(re).max(), np.abs(im).max()) < 2**31 / np.sqrt(2)


@EVERY
def test_mel_bands_are_torchaudios(frontend: FrontEnd) -> None:
    """Within 0.05 dB where the sound is louder than the floor."""
    clips = speech_like(frontend)
    margin = (frontend.fft_size - frontend.window) // 2  # torchaudio puts a shorter window into the middle
    spectrogram = torchaudio.transforms.MelSpectrogram(
        frontend.sample_rate, frontend.fft_size, frontend.window, frontend.hop, frontend.low_hz, frontend.high_hz,
        n_mels=frontend.mel_bands, center=False,
    ).double()  # fmt: skip
    padded = np.pad(clips / 32_768, ((0, 0), (margin, frontend.fft_size)))
    energies = spectrogram(torch.from_numpy(padded)).numpy()[:, :, : frontend.frames]
    expected = np.log2(energies + 1e-30) + 64 - 2 * np.log2(frontend.fft_size)
    logs = reference.log_mel(tables(frontend), frames_of(frontend, clips)) / 512
    got = logs.reshape(frontend.mel_bands, len(clips), frontend.frames).transpose(1, 0, 2)
    loud = expected > LOG_FLOOR + 6
    assert loud.mean() > 0.5
    error = 10 * np.log10(2) * (got - expected)[loud]
    assert np.sqrt(np.mean(error**2)) < 0.05
    assert np.abs(error).max() < 1


def test_features_are_torchaudios_mfcc() -> None:
    frontend = FrontEnd(samples=8000, window=512, coefficients=13)
    clips = speech_like(frontend)
    mfcc = torchaudio.transforms.MFCC(
        16_000, 13, log_mels=True,
        melkwargs={"n_fft": 512, "hop_length": 320, "f_min": 20.0, "f_max": 7600.0, "n_mels": 40, "center": False},
    ).double()  # fmt: skip
    # Its logarithm is natural and adds 1e-6 to the energy, so the samples must not be small.
    expected = mfcc(torch.from_numpy(clips.astype(float))).numpy().transpose(0, 2, 1) / np.log(2)
    # Samples of 15 bits less: 30 in energy. Scale and middle move coefficient 0 alone, by sqrt(40) each.
    expected[:, :, 0] += np.sqrt(40) * (64 - 2 * 9 - 30 - 41)
    expected = np.clip(expected * gains(13), -128, 127)
    got = reference.features(frontend, clips)[..., 0]
    assert np.abs(got - expected).max() < 1
    assert np.abs(got - expected).mean() < 0.3


def test_a_tone_at_full_scale_by_hand() -> None:
    frontend = FrontEnd(samples=512, features=Features.LOG_MEL, coefficients=0)
    # Bin 64 of 512 at 16 kHz: 2 kHz. A Hann window leaves half of 32767 in one bin, a quarter beside it.
    tone = np.rint(32_767 * np.cos(2 * np.pi * 64 * np.arange(512) / 512)).astype(np.int16)
    logs = reference.log_mel(tables(frontend), tone[None])[:, 0] / 512
    # Power of the bin: (2**15 * 2**15 / 2 / 2)**2 = 2**56, less 8 bits, times 2**12.
    assert logs.max() == pytest.approx(60, abs=0.7)
    corners = 700 * (10 ** (np.linspace(*2595 * np.log10(1 + np.array([20, 7600]) / 700), 42) / 2595) - 1)
    assert abs(corners[1 + logs.argmax()] - 2000) < 150
    # (60 - 41) * 6 steps for an octave.
    assert 105 < reference.features(frontend, tone[None]).max() < 127


def test_silence_is_the_floor() -> None:
    frontend = FrontEnd(features=Features.LOG_MEL, coefficients=0)
    assert (reference.features(frontend, np.zeros((1, 16_000), np.int16)) == (22 - 41) * 6).all()


@settings(max_examples=60)
@given(front_ends())
def test_a_clip_is_its_frames(frontend: FrontEnd) -> None:
    clips = stressful(frontend.samples)
    got = reference.features(frontend, clips)
    assert got.shape == (len(clips), *frontend.shape)
    last = (frontend.frames - 1) * frontend.hop
    rows = reference.frame_features(frontend, clips[:, last : last + frontend.window])
    np.testing.assert_array_equal(got[:, -1, :, 0], rows)


@pytest.mark.parametrize("clips", [np.zeros((2, 4000)), np.zeros(4000, np.int16), np.zeros((2, 3999), np.int16)])
def test_other_arrays_are_refused(clips: np.ndarray) -> None:
    with pytest.raises(NasError, match=r"int16 \(N, 4000\) expected"):
        reference.features(SOME[0], clips)
