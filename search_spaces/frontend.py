"""What stands between the microphone and a network: the parameters of an audio front end.

They belong to the network, because they decide its input's shape and cost memory and cycles on the device. What the
front end computes, integer by integer, is specified in ``firmware.frontend``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from search_spaces.errors import NasError
from search_spaces.ops import Shape

SMALLEST_FFT, LARGEST_FFT = 256, 2048
MOST_BANDS = 60
"""More mel bands could overflow the 32-bit sums of the cosine transform."""


class Features(StrEnum):
    """What a frame becomes: cepstral coefficients, or the logarithms of the mel bands themselves."""

    MFCC = "mfcc"
    LOG_MEL = "log-mel"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEnd:
    """Audio front end: ``samples`` of 16-bit audio become int8 features (frames, values per frame, 1).

    Frame ``i`` covers the samples from ``i * hop`` up to ``i * hop + window`` (nothing is padded). ``coefficients`` are
    kept of each MFCC frame; log-mel frames have one value per mel band, and ``coefficients`` must be 0. Lengths in
    samples, rates and edges in Hz. Raises NasError for values that no front end has.
    """

    features: Features = Features.MFCC
    sample_rate: int = 16_000
    samples: int = 16_000
    window: int = 512
    hop: int = 320
    mel_bands: int = 40
    coefficients: int = 10
    low_hz: int = 20
    high_hz: int = 7_600

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "features", Features(self.features))  # its plain text is accepted
        except ValueError:
            raise NasError(f"front end features is {self.features!r}; known are {', '.join(Features)}") from None
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name != "features" and type(value) is not int:  # True is an int to Python, 320.0 equals one
                raise NasError(f"front end {item.name} is {value!r}; a whole number expected")
        if not 8_000 <= self.sample_rate <= 48_000:
            raise NasError(f"front end sample_rate is {self.sample_rate}; 8000 to 48000 Hz expected")
        if not 64 <= self.window <= LARGEST_FFT or self.window % 2:
            raise NasError(f"front end window is {self.window}; an even number of 64 to {LARGEST_FFT} samples expected")
        if not self.window <= self.samples <= 10 * self.sample_rate:
            raise NasError(
                f"front end samples is {self.samples}; {self.window}, a window, to {10 * self.sample_rate}, 10 s, "
                "expected"
            )
        if not 1 <= self.hop <= self.window:
            raise NasError(f"front end hop is {self.hop}; 1 to {self.window}, the window, expected")
        if not 4 <= self.mel_bands <= MOST_BANDS:
            raise NasError(f"front end mel_bands is {self.mel_bands}; 4 to {MOST_BANDS} expected")
        if self.features is Features.MFCC and not 1 <= self.coefficients <= self.mel_bands:
            raise NasError(f"front end coefficients is {self.coefficients}; 1 to {self.mel_bands}, the bands, expected")
        if self.features is Features.LOG_MEL and self.coefficients:
            raise NasError(f"front end coefficients is {self.coefficients}; log-mel features have none: 0 expected")
        if not 0 <= self.low_hz < self.high_hz <= self.sample_rate // 2:
            raise NasError(
                f"front end band is {self.low_hz} to {self.high_hz} Hz; "
                f"0 to {self.sample_rate // 2} Hz, the lower edge first, expected"
            )
        above = self.low_hz * self.fft_size // self.sample_rate + 1
        if above * self.sample_rate >= self.high_hz * self.fft_size:
            raise NasError(
                f"front end band is too narrow: no frequency of its FFT lies between {self.low_hz} and {self.high_hz} "
                f"Hz; they are {self.sample_rate / self.fft_size:g} Hz apart"
            )

    @property
    def fft_size(self) -> int:
        """Points of the real FFT: the least power of two that holds a window."""
        return max(SMALLEST_FFT, 1 << (self.window - 1).bit_length())

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return (self.samples - self.window) // self.hop + 1

    @property
    def values(self) -> int:
        """Values of a frame."""
        return self.coefficients if self.features is Features.MFCC else self.mel_bands

    @property
    def shape(self) -> Shape:
        """Shape (frames, values, 1) of a clip's features, a network's input."""
        return (self.frames, self.values, 1)

    @property
    def name(self) -> str:
        """Short and unique among front ends of one rate, length and band, as ``mfcc10-40mel-w512-h320``."""
        kind = f"mfcc{self.coefficients}" if self.features is Features.MFCC else "logmel"
        return f"{kind}-{self.mel_bands}mel-w{self.window}-h{self.hop}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``FrontEnd.from_json`` reads them back."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrontEnd:
        """The front end that ``to_json`` wrote; raises NasError on anything else."""
        known = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != known:
            raise NasError(f"front end description is not one that this version writes: it needs {', '.join(known)}")
        return cls(**data)
