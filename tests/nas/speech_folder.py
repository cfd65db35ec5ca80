"""A small data set in Speech Commands' layout: real file names and splits, short noises for words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from nas.tasks.speech_files import NOISE_FOLDER, SPLITS, Split, split_of

RATE = 16_000
WORDS = ("cat", "dog", "no", "up", "yes")
SPEAKERS: dict[Split, int] = {"train": 5, "val": 2, "test": 2}
"""Speakers of every word in each split."""
NOISE_SECONDS = 6


def write_data_set(
    root: Path, *, version: str = "speech_commands_v0.02", words: tuple[str, ...] = WORDS, lists: bool = True
) -> Path:
    """Writes the data set below ``root`` and returns its folder.

    Every clip is noise of its own, 200 samples long, and a word's clips are spoken by the same people, once each.
    """
    folder = root / "SpeechCommands" / version
    people = {split: list(_people(split)) for split in SPLITS}
    rng = np.random.default_rng(0)
    for word in words:
        (folder / word).mkdir(parents=True)
        for speaker in (speaker for split in SPLITS for speaker in people[split]):
            clip = rng.integers(-9000, 9000, 200, np.int16)
            soundfile.write(folder / word / f"{speaker}_nohash_0.wav", clip, RATE)
    (folder / NOISE_FOLDER).mkdir()
    for name in ("running_tap", "white_noise"):
        samples = rng.integers(-3000, 3000, NOISE_SECONDS * RATE, np.int16)
        soundfile.write(folder / NOISE_FOLDER / f"{name}.wav", samples, RATE)
    (folder / NOISE_FOLDER / "README.md").write_text("where they come from")
    if lists:
        for split, name in (("val", "validation_list.txt"), ("test", "testing_list.txt")):
            lines = [f"{word}/{speaker}_nohash_0.wav" for word in words for speaker in people[split]]
            (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return folder


def _people(split: Split) -> Iterator[str]:
    """Speakers that the data set's rule puts into a split."""
    names = (hashlib.md5(b"%d" % number).hexdigest()[:8] for number in range(1000))
    fitting = (name for name in names if split_of(f"{name}_nohash_0.wav") == split)
    for _ in range(SPEAKERS[split]):
        yield next(fitting)
