from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nas.audio.augment import WaveAugmenter, mask_features
from nas.tasks import SoundAugmentation
from search_spaces.errors import NasError

CPU = torch.device("cpu")
SAMPLES = 50


def varied(
    how: SoundAugmentation,
    clip: NDArray[np.int16],
    noise: tuple[NDArray[np.int16], ...] = (),
    silence: int | None = None,
    labels: list[int] | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """300 variations (300, SAMPLES) of ``clip``; ``labels`` are repeated over them."""
    vary = WaveAugmenter(how, SAMPLES, noise, silence, CPU)
    clips = torch.from_numpy(np.stack([np.zeros_like(clip), clip]))
    rows = torch.ones(300, dtype=torch.int64)
    all_labels = torch.tensor(labels or [0]).repeat(300)[:300]
    result = vary(clips, rows, all_labels, torch.Generator().manual_seed(seed))
    assert result.dtype == torch.int16
    return result.numpy().astype(np.int64)


def ramp() -> NDArray[np.int16]:
    return np.arange(1, SAMPLES + 1, dtype=np.int16)


def constant(value: int, length: int = SAMPLES) -> NDArray[np.int16]:
    return np.full(length, value, np.int16)


def test_nothing_asked_for_changes_nothing() -> None:
    extremes = np.resize(np.array([-32768, 32767, 0, -1, 1], np.int16), SAMPLES)
    result = varied(SoundAugmentation(), extremes, noise=(constant(9),))
    assert (result == extremes).all()


def test_shifts_of_both_signs_move_zeros_in() -> None:
    padded = np.pad(ramp(), 3)
    expected = {padded[start : start + SAMPLES].astype(np.int64).tobytes() for start in range(7)}
    assert {row.tobytes() for row in varied(SoundAugmentation(shift=3), ramp())} == expected


def test_gains_are_even_in_decibels() -> None:
    decibels = 20 * np.log10(varied(SoundAugmentation(gain_db=6), constant(10_000))[:, 0] / 10_000)
    assert -6.01 < decibels.min() < -5.8
    assert 5.8 < decibels.max() < 6.01
    assert abs(decibels.mean()) < 0.6


def test_what_is_too_loud_is_clipped() -> None:
    result = varied(SoundAugmentation(gain_db=12), np.resize(np.array([30_000, -30_000], np.int16), SAMPLES))
    assert (result.max(), result.min()) == (32_767, -32_768)


def test_noise_is_added_to_a_share_of_the_clips() -> None:
    how = SoundAugmentation(noise_probability=0.25, noise_level=0.5)
    added = varied(how, constant(100), noise=(constant(1000, 80),))[:, 0] - 100
    assert 0.15 < (added > 0).mean() < 0.35
    assert 400 < added.max() <= 500
    np.testing.assert_array_equal(varied(how, constant(100)), 100)


def test_an_excerpt_lies_within_one_recording_and_a_short_one_is_repeated() -> None:
    how = SoundAugmentation(noise_probability=1, noise_level=1)
    short = np.resize(np.array([0, 20_000], np.int16), 7)
    result = varied(how, constant(0), noise=(constant(1000, 60), constant(-1000, 51), short, constant(0, 0)))
    kinds = {np.sign(row[0]) if np.ptp(row) == 0 else "short" for row in result if row.any()}
    assert kinds == {1, -1, "short"}


def test_each_place_of_a_recording_is_drawn() -> None:
    noise = np.arange(0, 5600, 100, dtype=np.int16)  # 56 samples: 7 places
    how = SoundAugmentation(noise_probability=1, noise_level=1)
    result = varied(how, constant(0), noise=(noise,), silence=0)
    loud = result[result[:, 1] - result[:, 0] > 30]  # rounding hides the place of a quiet excerpt
    first = np.rint(loud[:, 0] / (loud[:, -1] - loud[:, 0]) * 49)
    assert set(first) == set(range(7))


def test_silence_becomes_fresh_noise_of_any_level() -> None:
    result = varied(SoundAugmentation(), constant(5), noise=(constant(10_000, 99),), silence=1, labels=[0, 1])
    assert (result[0::2] == 5).all()
    levels = result[1::2, 0] / 10_000
    assert levels.min() < 0.003
    assert 0.9 < levels.max() <= 1
    assert 0.015 < np.median(levels) < 0.06  # -30 dB lies in the middle
    assert (varied(SoundAugmentation(), constant(5), silence=1, labels=[1]) == 5).all()


def test_the_generator_alone_decides() -> None:
    how = SoundAugmentation(shift=3, gain_db=6, noise_probability=0.5, noise_level=0.5)
    first, same, other = (varied(how, ramp(), noise=(ramp(),), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_what_could_overflow_is_refused() -> None:
    with pytest.raises(NasError, match=r"sound augmentation amplifies 11\.0 times \(gain_db 20"):
        WaveAugmenter(SoundAugmentation(gain_db=20), SAMPLES, (), None, CPU)


def test_masks_are_runs_of_frames_and_of_values() -> None:
    how = SoundAugmentation(time_masks=1, time_width=0.25, frequency_masks=1, frequency_width=0.4)
    features = torch.full((500, 20, 10), 7, dtype=torch.int8)
    masked = mask_features(features.clone(), how, torch.Generator().manual_seed(0)).numpy() == 0
    assert set(np.unique(mask_features(features.clone(), how, torch.Generator()))) == {0, 7}
    for axis, size, most in ((2, 20, 5), (1, 10, 4)):
        lines = masked.all(axis)  # whole frames, whole values
        widths = lines.sum(1)
        assert set(widths) == set(range(most + 1))
        assert (np.diff(lines.astype(int), axis=1) == 1).sum(1).max() == 1
        np.testing.assert_array_equal(lines.any(0), np.ones(size))
    np.testing.assert_array_equal(masked, masked.all(2)[:, :, None] | masked.all(1)[:, None, :])


def test_no_masks() -> None:
    features = torch.full((5, 20, 10), 7, dtype=torch.int8)
    assert (mask_features(features, SoundAugmentation(), torch.Generator()) == 7).all()
