"""Variations of sounds for training: of waveforms first, then of the features made of them.

Waveforms are mixed in integers, so a variation is the same on every device. All random numbers are drawn from one CPU
generator, a fixed number of them per batch: what is drawn never depends on what was drawn before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.tasks.task import SoundAugmentation
from search_spaces.errors import NasError

_MIX_BITS: Final = 12
"""Fixed point of the factors of clip and noise."""

_MOST: Final = 8.0
"""Largest sum of both factors: keeps mixtures of 16-bit samples within 32 bits."""

_SILENCE_DB: Final = 60.0
"""Silence is an excerpt of noise lowered by up to this much, evenly in decibels."""

_TOGETHER: Final = {"cpu": 16}
"""Clips mixed at a time on a CPU: more would leave its cache."""


class WaveAugmenter:
    """Varies clips of ``samples`` samples; ``noise`` are background recordings, ``silence`` the label without words.

    Raises NasError for an augmentation whose mixtures could overflow 32 bits.
    """

    def __init__(
        self,
        how: SoundAugmentation,
        samples: int,
        noise: Sequence[NDArray[np.int16]],
        silence: int | None,
        device: torch.device,
    ) -> None:
        self.how, self.samples, self.silence, self.device = how, samples, silence, device
        most = 10 ** (how.gain_db / 20) + max(how.noise_level, 1.0)
        if most > _MOST:
            raise NasError(
                f"sound augmentation amplifies {most:.1f} times (gain_db {how.gain_db}, noise_level "
                f"{how.noise_level}); at most {_MOST:.0f} expected"
            )
        recordings = [r if len(r) >= samples else np.resize(r, samples) for r in noise if len(r)]
        self._noise = torch.from_numpy(np.concatenate(recordings)).to(device) if recordings else None
        self._starts = np.cumsum([0, *(len(r) - samples + 1 for r in recordings)])
        self._offsets = np.cumsum([0, *(samples - 1 for _ in recordings)])[:-1]

    def __call__(self, clips: Tensor, rows: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Variations int16 (n, samples) of ``rows`` of ``clips`` (int16, N x samples); ``labels`` are the rows' own.

        A clip is shifted (zeros move in), amplified, and an excerpt of noise is added. Clips of the silent class become
        fresh excerpts, where there are recordings.
        """
        count, how = len(rows), self.how
        shifts = torch.randint(-how.shift, how.shift + 1, (count,), generator=generator)
        decibels, noisy, level, quiet = torch.rand((4, count), generator=generator, dtype=torch.float64)
        gains = 10 ** ((2 * decibels - 1) * how.gain_db / 20)
        levels = torch.where(noisy < how.noise_probability, level * how.noise_level, 0.0)
        if self.silence is not None and self._noise is not None:
            silent = labels.cpu() == self.silence
            gains = torch.where(silent, 0.0, gains)
            levels = torch.where(silent, 10 ** (-quiet * _SILENCE_DB / 20), levels)
        starts = self._excerpts(count, generator)
        factors = [(x * (1 << _MIX_BITS)).round().to(torch.int32).to(self.device)[:, None] for x in (gains, levels)]
        shifts = shifts.to(self.device)
        mixed = torch.empty((count, self.samples), dtype=torch.int16, device=self.device)
        together = _TOGETHER.get(self.device.type, count)
        for first in range(0, count, together):
            part = slice(first, first + together)
            gain, noise_level = (factor[part] for factor in factors)
            total = _shifted(clips, rows[part], shifts[part], how.shift).to(torch.int32).mul_(gain)
            if starts is not None and self._noise is not None:
                excerpts = self._noise.unfold(0, self.samples, 1).index_select(0, starts[part])
                total.addcmul_(excerpts.to(torch.int32), noise_level)
            total.add_(1 << (_MIX_BITS - 1)).bitwise_right_shift_(_MIX_BITS)
            mixed[part] = total.clamp_(-(1 << 15), (1 << 15) - 1)
        return mixed

    def _excerpts(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Where ``count`` excerpts begin; each lies within one recording, and each place is as likely as another."""
        if self._noise is None:
            return None
        drawn = torch.randint(0, int(self._starts[-1]), (count,), generator=generator).numpy()
        recording = np.searchsorted(self._starts, drawn, side="right") - 1
        return torch.from_numpy(drawn + self._offsets[recording]).to(self.device)


def _shifted(clips: Tensor, rows: Tensor, shifts: Tensor, most: int) -> Tensor:
    """``rows`` of ``clips`` moved by ``shifts`` samples of at most ``most``; what moves in is zero."""
    samples = clips.shape[1]
    if not most:
        return clips.index_select(0, rows)
    padded = torch.zeros((len(rows), samples + 2 * most), dtype=clips.dtype, device=clips.device)
    padded[:, most : most + samples] = clips.index_select(0, rows)
    starts = torch.arange(len(rows), device=clips.device) * padded.shape[1] + most - shifts
    return padded.flatten().unfold(0, samples, 1).index_select(0, starts)


def mask_features(features: Tensor, how: SoundAugmentation, generator: torch.Generator) -> Tensor:
    """SpecAugment (Park et al., 2019): runs of frames and runs of values of ``features`` (int8, n x frames x values)
    are set to 0, in place, which is about the mean of a loud clip and in the middle of the bytes for any other.

    The widths of a mask are drawn evenly from none to the part of all frames or values that ``how`` allows.
    """
    frames, values = features.shape[1:]
    for masks, width, size, shape in (
        (how.time_masks, how.time_width, frames, (-1, frames, 1)),
        (how.frequency_masks, how.frequency_width, values, (-1, 1, values)),
    ):
        for _ in range(masks):
            features.masked_fill_(_run(len(features), size, width, generator).to(features.device).view(shape), 0)
    return features


def _run(count: int, size: int, width: float, generator: torch.Generator) -> Tensor:
    """Masks (count, size), each true along one run of at most ``width * size``, anywhere."""
    most = min(round(width * size), size)
    widths = torch.randint(0, most + 1, (count, 1), generator=generator)
    starts = (torch.rand((count, 1), generator=generator, dtype=torch.float64) * (size - widths + 1)).long()
    places = torch.arange(size)
    return (places >= starts) & (places < starts + widths)
