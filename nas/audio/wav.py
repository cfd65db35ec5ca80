"""Audio files as clips of 16-bit samples, at the rate and length that are asked for.

What people have is converted: other sample rates, several channels, 8 or 24 bits, floating point, other containers than
WAV. What is broken is refused in a sentence that names the file.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nas.errors import DataError

Int16 = NDArray[np.int16]
Float64 = NDArray[np.float64]

FULL_SCALE = 1 << 15
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Sample rates in Hz that files of sound have; others come from damaged headers."""

_UNKNOWN_LENGTH = 0x7FFF_0000
"""Writers that cannot seek back, into pipes, say such a length or a greater one."""
_ZERO_CROSSINGS = 16
"""Half the length of the interpolating filter, in samples of the lower rate."""
_PASSED = 0.95
"""Edge of the interpolating filter, as a part of half the lower rate."""
_BLOCK = 4096


class AudioError(DataError):
    """A file holds no sound that can be used."""


def read_clip(path: Path | str, sample_rate: int, samples: int | None = None) -> Int16:
    """The sound in a file: int16, one-dimensional, at ``sample_rate`` Hz.

    Channels are averaged, floating point is scaled by 32768 and limited. With ``samples`` the clip gets this length,
    see ``fit``, and what lies behind is not read. Raises AudioError.
    """
    path = Path(path)
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):  # asked before it is opened: a pipe would wait for its writer
            what = "a folder" if stat.S_ISDIR(kind) else "no ordinary file"
            raise AudioError(f"{path} is {what}; an audio file expected")
        with path.open("rb") as file:
            _check_header(file, path)
    except OSError as error:
        raise AudioError(f"audio file {path} cannot be read: {error.strerror or error}") from error
    sound, rate = _decode(path, sample_rate, samples)
    if rate != sample_rate:
        sound = resample(sound.astype(np.float64, copy=False), rate, sample_rate)
    clip = _to_int16(sound)
    return clip if samples is None else fit(clip, samples)


def fit(clip: Int16, samples: int) -> Int16:
    """``clip`` at a length of ``samples``: zeros follow a shorter one, of a longer one the beginning is kept."""
    if len(clip) >= samples:
        return clip[:samples]
    return np.concatenate([clip, np.zeros(samples - len(clip), np.int16)])


def resample(sound: Float64, rate: int, wanted: int) -> Float64:
    """``sound`` (float, one-dimensional) of ``rate`` Hz at ``wanted`` Hz, by interpolation with a windowed sinc.

    Sample n of the result lies at n * rate / wanted of the input. The filter is worked out for every sample, so that
    rates without a common divisor need no large tables.
    """
    count = -(-len(sound) * wanted // rate)
    scale = min(1.0, wanted / rate)  # of the sinc: it must not let pass what the lower rate cannot hold
    reach = int(np.ceil(_ZERO_CROSSINGS / scale))
    padded = np.concatenate([np.zeros(reach), sound, np.zeros(reach + 1)])
    result = np.empty(count)
    for first in range(0, count, _BLOCK):
        n = np.arange(first, min(first + _BLOCK, count))
        whole, rest = n * rate // wanted, n * rate % wanted / wanted
        taps = np.arange(-reach + 1, reach + 1)
        distance = (taps - rest[:, None]) * scale
        window = np.where(np.abs(distance) < _ZERO_CROSSINGS, np.cos(distance * (np.pi / 2 / _ZERO_CROSSINGS)) ** 2, 0)
        weights = np.sinc(distance * _PASSED) * window * (scale * _PASSED)
        result[n] = np.einsum("nt,nt->n", weights, padded[whole[:, None] + taps + reach])
    return result


def _decode(path: Path, sample_rate: int, samples: int | None) -> tuple[Int16 | Float64, int]:
    """Sound of a file as int16 where it has this form, else float of 1 at full scale; and its rate."""
    import soundfile

    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:  # it takes no undecodable names as text
            rate, frames = int(file.samplerate), int(file.frames)
            _check_rate(rate, path)
            wanted = frames
            if samples is not None:
                wanted = min(frames, -(-(samples + 2 * _ZERO_CROSSINGS) * max(rate, sample_rate) // sample_rate))
            plain = file.subtype == "PCM_16" and file.channels == 1 and rate == sample_rate
            sound = file.read(wanted, dtype="int16" if plain else "float64", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:  # TypeError: it is called .raw
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise AudioError(f"{path} is no audio file that can be read ({reason})") from error
    if not frames:
        raise AudioError(f"audio file {path} holds no samples")
    if len(sound) < wanted:
        raise AudioError(f"audio file {path} is cut short: {wanted} samples expected, {len(sound)} can be read")
    if not plain and not np.isfinite(sound).all():
        raise AudioError(f"audio file {path} holds samples that are no numbers (NaN or infinite)")
    return (sound[:, 0] if plain else sound.mean(axis=1)), rate


def _to_int16(sound: Int16 | Float64) -> Int16:
    if sound.dtype == np.int16:
        return sound.astype(np.int16, copy=False)
    return np.clip(np.rint(sound * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _check_rate(rate: int, path: Path) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            f"audio file {path} says its sample rate is {rate} Hz; {LOWEST_RATE} to {HIGHEST_RATE} expected"
        )


def _check_header(file: BinaryIO, path: Path) -> None:
    """Raises AudioError where a WAV file ends before its header says, and for a sample rate that no sound has.

    libsndfile would take what is left of the one, and say nothing of the rate where that is 0.
    """
    head = file.read(12)
    if len(head) < 12 or head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
        if not head:
            raise AudioError(f"audio file {path} is empty")
        return
    order = "<" if head[:4] == b"RIFF" else ">"
    size, rate = path.stat().st_size, None
    while len(chunk := file.read(8)) == 8:
        (length,) = struct.unpack(f"{order}I", chunk[4:])
        if chunk[:4] == b"data":
            there = size - file.tell()
            if there < length < _UNKNOWN_LENGTH:
                raise AudioError(
                    f"audio file {path} is cut short: its header promises {length} bytes of samples, {there} are there"
                )
            if rate is not None:
                _check_rate(rate, path)
            return
        start = file.tell()
        if chunk[:4] == b"fmt " and len(form := file.read(8)) == 8:
            (rate,) = struct.unpack(f"{order}4xI", form)
        file.seek(start + length + length % 2)
    raise AudioError(f"audio file {path} is cut short: its header ends before any samples")
