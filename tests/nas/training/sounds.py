"""A small task of sounds that is made up: which of three tones beeps in the noise, or none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.tasks import Sound, SoundAugmentation, TaskData
from nas.tasks.task import sound_task
from search_spaces.frontend import Features, FrontEnd

SAMPLES = 2_000
FRONTENDS = (
    FrontEnd(sample_rate=8_000, samples=SAMPLES, window=256, hop=128, mel_bands=16, coefficients=8, high_hz=4_000),
    FrontEnd(
        features=Features.LOG_MEL,
        sample_rate=8_000,
        samples=SAMPLES,
        window=256,
        hop=256,
        mel_bands=12,
        coefficients=0,
        high_hz=4_000,
    ),
)
"""Features of 14x8 and 7x12."""

TONES_HZ = (400, 900, 2_000)


def beeps(train: int = 96, held_out: int = 48, name: str = "beeps") -> TaskData:
    """A task of four classes; the features are kept in the cache folder that NAS_CACHE names."""
    rng = np.random.default_rng(0)
    labels = {split: np.arange(count) % 4 for split, count in (("train", train), ("val", held_out), ("test", held_out))}
    clips = {split: np.stack([_clip(int(label), rng) for label in of_split]) for split, of_split in labels.items()}
    how = SoundAugmentation(
        shift=200,
        gain_db=3,
        noise_probability=0.5,
        noise_level=0.5,
        time_masks=1,
        time_width=0.2,
        frequency_masks=1,
        frequency_width=0.2,
    )
    noise = (rng.normal(0, 300, 5_000).astype(np.int16), rng.normal(0, 300, 1_000).astype(np.int16))
    sound = Sound(
        clips["train"], clips["val"], clips["test"], frontends=FRONTENDS, augmentation=how, noise=noise, silence=3
    )
    names = (*(f"{hz} Hz" for hz in TONES_HZ), "silence")
    return sound_task(name, names, sound, {split: of_split.astype(np.uint8) for split, of_split in labels.items()})


def _clip(label: int, rng: np.random.Generator) -> NDArray[np.int16]:
    clip = rng.normal(0, 300, SAMPLES)
    if label < len(TONES_HZ):
        first = rng.integers(200, 1_000)
        clip[first : first + 800] += 5_000 * np.sin(2 * np.pi * TONES_HZ[label] / 8_000 * np.arange(800))
    else:
        clip *= 10 ** -rng.uniform(0, 3)
    return clip.astype(np.int16)
