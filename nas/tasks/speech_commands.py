"""Speech Commands: one spoken word of a second, in classes that the user chooses.

``speech_commands`` alone is the usual task of eight commands, ``unknown`` (other words) and ``silence`` (background
noise). ``speech_commands:yes,no,unknown`` has the words that are listed, ``speech_commands:all`` every word that is
there. No speaker, and no second of a background recording, is in two splits.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nas.audio.clips import Clips, stored_clips
from nas.audio.wav import AudioError, read_clip
from nas.cache import cache_folder
from nas.errors import DataError
from nas.tasks.speech_files import (
    SPLITS,
    Files,
    Split,
    download,
    find_folder,
    list_clips,
    list_splits,
    noise_files,
    word_of,
)
from nas.tasks.task import Sound, SoundAugmentation, Task, TaskData, sound_task
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd

_log = logging.getLogger(__name__)

NAME = "speech_commands"
SAMPLE_RATE = 16_000
SAMPLES = 16_000
UNKNOWN, SILENCE, ALL = "unknown", "silence", "all"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "stop", "go")

FRONTENDS: Final = (
    FrontEnd(),
    FrontEnd(window=640),
    FrontEnd(coefficients=13),
    FrontEnd(hop=512),
    FrontEnd(features=Features.LOG_MEL, mel_bands=20, coefficients=0),
    FrontEnd(features=Features.LOG_MEL, hop=480, coefficients=0),
)
"""What searches choose from: 49x10 as in the published networks first; a longer window, more coefficients, no overlap
(fewer frames), and mel bands without the cosine transform. A run's choices are kept by their names and its draws by
their number, so what networks want besides these goes into ``FURTHER``."""

FURTHER: Final = (FrontEnd(features=Features.LOG_MEL, window=480, hop=160, coefficients=0),)
"""What published networks start from and no search chooses: the 98x40 of BC-ResNet."""

AUGMENTATION: Final = SoundAugmentation(
    shift=SAMPLE_RATE // 10,
    gain_db=6.0,
    noise_probability=0.8,
    noise_level=0.1,
    time_masks=1,
    time_width=0.125,
    frequency_masks=1,
    frequency_width=0.2,
)
"""Up to 100 ms; masks of at most 6 of 49 frames and 2 of 10 values."""

UNKNOWN_SHARE: Final[dict[Split, int]] = {"train": 3, "val": 1, "test": 1}
"""Clips of other words per clip of a chosen word: more variety helps in training, an even split tells more after it."""
NOISE_PARTS: Final[dict[Split, tuple[float, float]]] = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}
"""Part of every background recording that belongs to a split."""
QUIETEST_DB = -60.0
"""Level of the quietest excerpts of silence, against the recording; the levels are even in decibels."""

_VERSION = 1
_MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """The classes of a task: ``words`` (empty: all that are there), then ``unknown``, then ``silence``."""

    words: tuple[str, ...] = COMMANDS
    unknown: bool = True
    silence: bool = True

    @classmethod
    def parse(cls, text: str) -> Chosen:
        """What the options of a task's name mean; raises NasError for an empty list and for doubles."""
        items = [item.strip() for item in text.split(",")]
        doubles = [item for item, count in Counter(items).items() if count > 1]
        words = tuple(item for item in items if item not in (UNKNOWN, SILENCE, ALL))
        expected = f"words, {UNKNOWN} and {SILENCE}, each once, or {ALL} for every word"
        if "" in items or doubles:
            raise NasError(f"task option {text!r} has {f'{doubles[0]!r} twice' if doubles else 'a gap'}; {expected}")
        if ALL in items and (words or UNKNOWN in items):
            raise NasError(f"task option {text!r} has other words beside {ALL!r}; {expected}")
        if not words and ALL not in items:
            raise NasError(
                f"task option {text!r} names no word beside {UNKNOWN} and {SILENCE}; words, or {ALL} for every word, "
                "expected"
            )
        chosen = cls(words, UNKNOWN in items, SILENCE in items)
        if words and len(chosen.class_names(words)) < 2:
            raise NasError(f"task option {text!r} leaves one class; at least two expected")
        return chosen

    @property
    def name(self) -> str:
        """The task's full name."""
        if self == Chosen():
            return NAME
        return f"{NAME}:{','.join(self.class_names(self.words or (ALL,)))}"

    def class_names(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the classes where ``words`` are chosen."""
        return (*words, *([UNKNOWN] if self.unknown else []), *([SILENCE] if self.silence else []))


@dataclass(frozen=True, slots=True)
class _Item:
    """A clip to come: a file, or for ``silence`` the number of an excerpt; and its class."""

    name: str
    label: int
    silence: int | None = None


Plan = dict[Split, list[_Item]]


def find(root: Path) -> str | None:
    """What ``load`` would read: the folder and its number of clips; None when there is none."""
    folder = find_folder(root)
    return None if folder is None else f"{folder}: {len(list_clips(folder)):,} clips"


def load(root: Path, chosen: Chosen | None = None) -> TaskData:
    """Reads the task under ``root``, downloading the data set there when it is absent.

    The clips are decoded once and kept in the cache folder. Clips that cannot be read are left out, with a warning each
    and their number in ``source``. Raises DataError when the data set is damaged, lacks a word, or is not to be had.
    """
    chosen = Chosen() if chosen is None else chosen
    folder = find_folder(root) or download(root)
    files = list_splits(folder)
    words = chosen.words or tuple(sorted({word_of(clip) for clip in files["train"]}))
    _check_words(words, files, folder)
    names = chosen.class_names(words)
    if len(names) < 2:
        raise DataError(f"{folder} has one word, {words[0]!r}; task {chosen.name!r} needs at least two classes")
    plan = _plan(files, chosen, words, folder)
    noise = _Noise(folder)
    if chosen.silence and not noise.usable:
        raise DataError(
            f"{folder} has no background recordings of {_LEAST_NOISE} s or more that can be read, to cut silence from"
        )
    clips = stored_clips(_place(folder, chosen, plan), SAMPLES, lambda: _decode(folder, plan, noise))
    kept = _kept(plan, clips)
    for split, items in kept.items():
        if not items:
            raise DataError(f"{folder} has no readable clip for the {split} split of task {chosen.name!r}")
    trained = {item.label for item in kept["train"]}
    for label, name in enumerate(names):
        if label not in trained:
            raise DataError(f"{folder} has no readable training clip of class {name!r}")
    val, test = len(kept["train"]), len(kept["train"]) + len(kept["val"])
    sound = Sound(
        train=clips.samples[:val],
        val=clips.samples[val:test],
        test=clips.samples[test:],
        frontends=FRONTENDS,
        further=FURTHER,
        augmentation=AUGMENTATION,
        noise=tuple(noise.part(recording, "train") for recording in noise.recordings),
        silence=names.index(SILENCE) if chosen.silence else None,
        digest=clips.digest,
    )
    labels: dict[str, NDArray[np.uint8]] = {
        split: np.array([item.label for item in kept[split]], np.uint8) for split in SPLITS
    }
    return sound_task(chosen.name, names, sound, labels, _source(folder, kept, clips, noise))


def _check_words(words: Iterable[str], files: Files, folder: Path) -> None:
    there = sorted({word_of(clip) for clip in files["train"]})
    for word in words:
        if word not in there:
            raise DataError(f"word {word!r} has no training clips in {folder}; there are {', '.join(there) or 'none'}")


def _plan(files: Files, chosen: Chosen, words: tuple[str, ...], folder: Path) -> Plan:
    """Which clips make up the splits, each in an order that hashes give, so that no library's random numbers matter."""
    labels = {word: label for label, word in enumerate(words)}
    plan: Plan = {}
    for split in SPLITS:
        items = [_Item(clip, labels[word_of(clip)]) for clip in files[split] if word_of(clip) in labels]
        mean = round(len(items) / len(words))
        if chosen.unknown:
            others = sorted((clip for clip in files[split] if word_of(clip) not in labels), key=_hash)
            if not others:
                raise DataError(
                    f"{folder} has no other words than {', '.join(words)} to make {UNKNOWN!r} of in the {split} split"
                )
            items += [_Item(clip, len(words)) for clip in others[: UNKNOWN_SHARE[split] * mean]]
        if chosen.silence:
            label = len(words) + chosen.unknown
            items += [_Item(f"{SILENCE} {split} {number}", label, number) for number in range(mean)]
        plan[split] = sorted(items, key=lambda item: _hash(item.name))
    return plan


def _hash(name: str) -> bytes:
    return hashlib.sha256(f"{NAME} {name}".encode()).digest()


class _Noise:
    """The background recordings of a data set, and the part of each that a split may use.

    Attributes:
        recordings: int16, all that can be read.
        usable: those of which every split has enough for an excerpt.
        broken: a sentence for each of the others.
    """

    def __init__(self, folder: Path) -> None:
        self.recordings: list[NDArray[np.int16]] = []
        self.broken: list[str] = []
        for path in noise_files(folder):
            try:
                self.recordings.append(read_clip(path, SAMPLE_RATE))
            except AudioError as error:
                self.broken.append(str(error))
                _log.warning("%s; it is left out", error)
        self.usable = [
            recording
            for recording in self.recordings
            if all(len(self.part(recording, split)) >= SAMPLES for split in SPLITS)
        ]

    def part(self, recording: NDArray[np.int16], split: Split) -> NDArray[np.int16]:
        first, last = NOISE_PARTS[split]
        return recording[round(first * len(recording)) : round(last * len(recording))]

    def excerpt(self, split: Split, number: int, name: str) -> NDArray[np.int16]:
        """A second from one recording after the other, at an offset and a level that a hash of its name gives."""
        part = self.part(self.usable[number % len(self.usable)], split)
        digest = _hash(name)
        offset = int.from_bytes(digest[:8]) % (len(part) - SAMPLES + 1)
        level = 10 ** (QUIETEST_DB / 20 * int.from_bytes(digest[8:16]) / 2**64)
        clip: NDArray[np.int16] = np.rint(part[offset : offset + SAMPLES] * level).astype(np.int16)
        return clip


_LEAST_NOISE = round(SAMPLES / SAMPLE_RATE / min(last - first for first, last in NOISE_PARTS.values()))


def _place(folder: Path, chosen: Chosen, plan: Plan) -> Path:
    """Where the decoded clips are kept: the name tells the data set and task, then their state."""
    state = hashlib.sha256(repr((_VERSION, SAMPLE_RATE, SAMPLES, NOISE_PARTS, QUIETEST_DB)).encode())
    clips = (folder / item.name for items in plan.values() for item in items if item.silence is None)
    for path in [*clips, *noise_files(folder)]:
        try:
            about = path.stat()
        except OSError:
            state.update(b"missing ")
        else:
            state.update(f"{path.name} {about.st_size} {about.st_mtime_ns} ".encode())
    state.update(repr(plan).encode())
    which = hashlib.sha256(f"{folder.resolve()} {chosen.name}".encode()).hexdigest()
    return cache_folder() / "clips" / f"{NAME}-{which[:12]}-{state.hexdigest()[:16]}.int16"


def _decode(folder: Path, plan: Plan, noise: _Noise) -> Clips:
    items = [(split, item) for split, items in plan.items() for item in items]
    _log.info("decoding %d clips of %s", len(items), folder)
    samples = np.empty((len(items), SAMPLES), np.int16)
    broken: dict[int, str] = {}
    row = 0
    for number, (split, item) in enumerate(items):
        try:
            if item.silence is None:
                samples[row] = read_clip(folder / item.name, SAMPLE_RATE, SAMPLES)
            else:
                samples[row] = noise.excerpt(split, item.silence, item.name)
            row += 1
        except AudioError as error:
            broken[number] = str(error)
            if len(broken) <= _MOST_WARNINGS:
                _log.warning("%s; it is left out", error)
    if len(broken) > _MOST_WARNINGS:
        _log.warning("%d more clips in %s cannot be read and are left out", len(broken) - _MOST_WARNINGS, folder)
    return Clips(samples[:row], broken)


def _kept(plan: Plan, clips: Clips) -> Plan:
    """The plan without the clips that are broken."""
    kept: Plan = {}
    number = 0
    for split, items in plan.items():
        kept[split] = [item for index, item in enumerate(items, number) if index not in clips.broken]
        number += len(items)
    return kept


def _source(folder: Path, kept: Plan, clips: Clips, noise: _Noise) -> str:
    counts = ", ".join(f"{len(kept[split]):,} {split}" for split in SPLITS)
    broken = len(clips.broken) + len(noise.broken)
    return f"{folder}: {counts} clips" + (f", {broken} broken ones left out" if broken else "")


def _task(chosen: Chosen) -> Task:
    return Task(
        name=chosen.name,
        description="spoken words of 1 s: 8 commands, unknown words and silence (Speech Commands); words can be chosen",
        input_shape=FRONTENDS[0].shape,
        class_names=chosen.class_names(chosen.words) if chosen.words else (),
        load=lambda root: load(root, chosen),
        find=find,
        with_options=lambda text: _task(Chosen.parse(text)),
    )


TASK = _task(Chosen())
