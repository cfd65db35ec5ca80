from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from nas.audio.wav import AudioError, fit, read_clip, resample
from nas.errors import DataError

RATE = 16_000


def wav(samples: bytes, *, bits: int = 16, channels: int = 1, rate: int = RATE, promised: int | None = None) -> bytes:
    """A WAV file put together by hand: RIFF, the 16 bytes of a PCM format, data."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * frame, frame, bits)
    length = len(samples) if promised is None else promised
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + length, 0xFFFF_FFFF))
        + b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", length)
        + samples
    )


def sine(hz: float, rate: int, seconds: float = 0.2) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (wav(struct.pack("<4h", 0, 1, -1, 32767)), [0, 1, -1, 32767]),
        (wav(bytes([128, 129, 127, 255, 0]), bits=8), [0, 256, -256, 32512, -32768]),
        # 24 bits are rounded to the nearest of 16: 0x000100 is one step, 0x00017f less than one and a half.
        (wav(bytes.fromhex("000100 7f0100 810100 ffff7f 000080"), bits=24), [1, 1, 2, 32767, -32768]),
        (wav(struct.pack("<2i", 1 << 16, -(1 << 31)), bits=32), [1, -32768]),
        (wav(struct.pack("<6h", 10, 20, -5, -5, 32767, 32767), channels=2), [15, -5, 32767]),
        (wav(struct.pack("<3h", 7, 8, 9), promised=0xFFFF_FFFF), [7, 8, 9]),  # written into a pipe
    ],
    ids=["16 bits", "8 bits", "24 bits", "32 bits", "stereo", "unknown length"],
)
def test_what_is_converted(tmp_path: Path, content: bytes, expected: list[int]) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    clip = read_clip(path, RATE)
    assert clip.dtype == np.int16
    np.testing.assert_array_equal(clip, expected)


def test_floating_point_is_scaled_rounded_and_limited(tmp_path: Path) -> None:
    values = np.array([0, 0.5, -1, 1, 1.5, -7, 1.6 / 32768], np.float32)
    for subtype in ("FLOAT", "DOUBLE"):
        soundfile.write(tmp_path / "clip.wav", values, RATE, subtype)
        expected = [0, 16384, -32768, 32767, 32767, -32768, 2]
        np.testing.assert_array_equal(read_clip(tmp_path / "clip.wav", RATE), expected)


@pytest.mark.parametrize("name", ["clip.flac", "clip.aiff", "clip.au"])
def test_other_containers_without_loss(tmp_path: Path, name: str) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 500, np.int16)
    soundfile.write(tmp_path / name, samples, RATE, "PCM_16")
    np.testing.assert_array_equal(read_clip(tmp_path / name, RATE), samples)


def test_other_containers_with_loss(tmp_path: Path) -> None:
    samples = sine(440, RATE, 1.0) / 2
    soundfile.write(tmp_path / "clip.ogg", samples, RATE)
    clip = read_clip(tmp_path / "clip.ogg", RATE, RATE)
    assert np.abs(clip / 32768 - samples).max() < 0.05


def big_endian(path: Path) -> None:
    soundfile.write(path, np.array([1, -2, 3], np.int16), RATE, "PCM_16", endian="BIG", format="WAV")


def odd_chunk_first(path: Path) -> None:
    content = wav(struct.pack("<3h", 1, -2, 3))
    path.write_bytes(content[:12] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + content[12:])


@pytest.mark.parametrize("write", [big_endian, odd_chunk_first])
def test_unusual_headers(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "clip.wav")
    np.testing.assert_array_equal(read_clip(tmp_path / "clip.wav", RATE), [1, -2, 3])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"RI", "is no audio file"),
        (b"RIFF\0\0", "is no audio file"),
        (wav(b"\1\0" * 100)[:20], "is cut short: its header ends before any samples"),
        (wav(b"\1\0" * 100)[:40], "is cut short: its header ends before any samples"),
        (wav(b"\1\0" * 100)[:-50], "is cut short: its header promises 200 bytes of samples, 150 are there"),
        (wav(b"", promised=32000), "is cut short: its header promises 32000 bytes of samples, 0 are there"),
        (wav(b""), "holds no samples"),
        (wav(b"\1\0" * 100, rate=3), "says its sample rate is 3 Hz; 1000 to 768000 expected"),
        (wav(b"\1\0" * 100, rate=0), "says its sample rate is 0 Hz; 1000 to 768000 expected"),
        (wav(b"\1\0" * 100, rate=0)[:-50], "is cut short: its header promises 200 bytes of samples, 150 are there"),
        (b"Not sound at all, but a text that somebody called so.", "is no audio file that can be read"),
        (b"RIFF\x24\0\0\0WAVEfmt \xff\xff\xff\x7f" + bytes(40), "is cut short"),
        (wav(b"\1\0" * 100, bits=40), "is no audio file that can be read"),
        (wav(b"\1\0" * 100, channels=0), "is no audio file that can be read"),
    ],
    ids=[
        *("empty", "two bytes", "six bytes", "header cut", "header of data cut", "data cut", "no data", "no samples"),
        *("rate", "no rate", "no rate, cut", "text", "endless chunk", "40 bits", "no channel"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    assert_refused(path, sentence)


def assert_refused(path: Path, sentence: str) -> None:
    with pytest.raises(AudioError) as caught:
        read_clip(path, RATE, RATE)
    message = str(caught.value)
    assert str(path) in message
    assert sentence in message
    assert "\n" not in message
    assert isinstance(caught.value, DataError)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_numbers_are_refused(tmp_path: Path, bad: float) -> None:
    values = np.zeros(100, np.float32)
    values[50] = bad
    soundfile.write(tmp_path / "clip.wav", values, RATE, "FLOAT")
    assert_refused(tmp_path / "clip.wav", "holds samples that are no numbers (NaN or infinite)")


def test_flac_that_ends_early(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, np.random.default_rng(0).integers(-3000, 3000, RATE, np.int16), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match=r"clip\.flac"):
        read_clip(path, RATE, RATE)


def test_no_such_file_a_folder_a_device_and_bare_samples(tmp_path: Path) -> None:
    assert_refused(tmp_path / "absent.wav", "cannot be read: No such file or directory")
    assert_refused(tmp_path, "is a folder; an audio file expected")
    assert_refused(Path("/dev/null"), "is no ordinary file")
    (tmp_path / "clip.raw").write_bytes(bytes(100))
    assert_refused(tmp_path / "clip.raw", "is no audio file that can be read")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    assert_refused(path, "is no ordinary file")


def test_a_name_too_long(tmp_path: Path) -> None:
    assert_refused(tmp_path / ("a" * 300), "cannot be read: File name too long")


def test_fit() -> None:
    clip = np.array([1, 2, 3], np.int16)
    np.testing.assert_array_equal(fit(clip, 5), [1, 2, 3, 0, 0])
    np.testing.assert_array_equal(fit(clip, 3), clip)
    np.testing.assert_array_equal(fit(clip, 2), [1, 2])
    assert fit(clip, 5).dtype == np.int16


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 47_999, 96_000])
def test_tones_keep_their_pitch_and_level(tmp_path: Path, rate: int) -> None:
    for hz in (150.0, 1000.0, 3000.0):
        soundfile.write(tmp_path / "clip.wav", sine(hz, rate) / 2, rate, "FLOAT")
        clip = read_clip(tmp_path / "clip.wav", RATE) / 32768
        assert len(clip) - 3200 in (0, 1)  # what is left of the last sample counts
        inner = slice(200, 3000)  # the filter reaches over the ends, where the file has nothing
        np.testing.assert_allclose(clip[inner], sine(hz, RATE)[inner] / 2, atol=2e-3)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_what_the_lower_rate_cannot_hold_is_filtered_out(rate: int) -> None:
    tone = sine(9_500, rate)
    assert np.abs(resample(tone, rate, RATE)[100:-100]).max() < 0.01


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_against_scipy(rate: int) -> None:
    """Noise below 3 kHz, which every filter leaves alone."""
    noise = np.random.default_rng(1).standard_normal(rate // 4)
    band = scipy.signal.sosfiltfilt(scipy.signal.butter(8, 2_000, fs=rate, output="sos"), noise)
    expected = scipy.signal.resample_poly(band, RATE, rate, window=("kaiser", 12.0))
    inner = slice(300, 3_700)
    np.testing.assert_allclose(resample(band, rate, RATE)[inner], expected[inner], atol=0.01 * np.abs(band).max())


def test_reading_the_beginning_alone_changes_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    for rate in (8_000, 16_000, 44_100):
        soundfile.write(tmp_path / "long.wav", rng.uniform(-1, 1, (3 * rate, 2)), rate, "PCM_24")
        whole = read_clip(tmp_path / "long.wav", RATE)
        assert len(whole) == 3 * RATE
        np.testing.assert_array_equal(read_clip(tmp_path / "long.wav", RATE, RATE), whole[:RATE])


def test_a_short_clip_is_followed_by_zeros(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.full(100, 5, np.int16), RATE)
    clip = read_clip(tmp_path / "short.wav", RATE, RATE)
    np.testing.assert_array_equal(clip, [5] * 100 + [0] * (RATE - 100))


@given(content=st.binary(max_size=200), cut=st.integers(0, 250), place=st.integers(0, 243))
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: int, place: int
) -> None:
    """Any bytes at any place of a file of any length: a clip, or an AudioError, and never anything else."""
    path = tmp_path_factory.getbasetemp() / "damaged.wav"
    whole = wav(struct.pack("<100h", *range(100)))
    path.write_bytes((whole[:place] + content + whole[place + len(content) :])[:cut])
    try:
        clip = read_clip(path, RATE, 1000)
    except AudioError as error:
        clip, sentence = None, str(error)
    if clip is None:
        assert str(path) in sentence
    else:
        assert clip.shape == (1000,)
        assert clip.dtype == np.int16
