"""The files of Speech Commands: where they lie, which split each belongs to, and how they are had.

The layout is that of torchaudio's ``SPEECHCOMMANDS``: ``SpeechCommands/speech_commands_v0.02/<word>/<speaker>_nohash_
<n>.wav`` below the data root, and the same files are listed.
"""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Final, Literal

from nas.errors import DataError
from nas.tasks.download import download_folder

Split = Literal["train", "val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "val", "test")
Files = dict[Split, list[str]]
"""Paths below the data set's folder, ``word/name.wav``, per split."""

ARCHIVE_FOLDER = "SpeechCommands"
VERSIONS = ("speech_commands_v0.02", "speech_commands_v0.01")
NOISE_FOLDER = "_background_noise_"
LISTS: Final[dict[Split, str]] = {"val": "validation_list.txt", "test": "testing_list.txt"}

_SPEAKER_END = "_nohash_"
_HASH_RANGE = 1 << 27
_VAL_PERCENT, _TEST_PERCENT = 10.0, 10.0


def find_folder(root: Path) -> Path | None:
    """The data set's folder under ``root``, the newer version first; None where there is none."""
    folders = (root / ARCHIVE_FOLDER / version for version in VERSIONS)
    return next((folder for folder in folders if folder.is_dir()), None)


def list_clips(folder: Path) -> list[str]:
    """All clips of words, sorted: what ``SPEECHCOMMANDS(subset=None)`` lists."""
    return sorted(
        f"{path.parent.name}/{path.name}"
        for path in folder.glob("*/*.wav")
        if _SPEAKER_END in path.name and path.parent.name != NOISE_FOLDER
    )


def list_splits(folder: Path) -> Files:
    """The clips of each split: by the data set's two lists, or by its rule where both are absent.

    Raises DataError for one list without the other, one that cannot be read, or a clip in both.
    """
    there = {split: folder / name for split, name in LISTS.items() if (folder / name).is_file()}
    if not there:
        files: Files = {split: [] for split in SPLITS}
        for clip in list_clips(folder):
            files[split_of(clip)].append(clip)
        return files
    if len(there) < len(LISTS):
        missing = next(name for split, name in LISTS.items() if split not in there)
        raise DataError(f"{folder} has no {missing}; both lists of its splits, or none, expected")
    held = {split: _read_list(path) for split, path in there.items()}
    both = sorted(set(held["val"]) & set(held["test"]))
    if both:
        raise DataError(f"{folder} lists {both[0]} for validation and for testing; each clip in one list expected")
    out = {clip for clips in held.values() for clip in clips}
    return {"train": [clip for clip in list_clips(folder) if clip not in out], **held}


def split_of(clip: str) -> Split:
    """The split that the data set's own rule gives a clip; it depends on the speaker alone.

    SHA-1 of the file name before ``_nohash_``, modulo 2**27, as a percentage: below 10 is validation, below 20 test
    (``which_set`` of TensorFlow's speech_commands example).
    """
    speaker = speaker_of(clip)
    number = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16) % _HASH_RANGE
    percent = number * (100.0 / (_HASH_RANGE - 1))
    if percent < _VAL_PERCENT:
        return "val"
    return "test" if percent < _VAL_PERCENT + _TEST_PERCENT else "train"


def speaker_of(clip: str) -> str:
    """Who speaks, as the file's name says."""
    return clip.rpartition("/")[2].partition(_SPEAKER_END)[0]


def word_of(clip: str) -> str:
    """The word that is spoken."""
    return clip.partition("/")[0]


def noise_files(folder: Path) -> list[Path]:
    """The background recordings, sorted; none where their folder is missing."""
    return sorted((folder / NOISE_FOLDER).glob("*.wav"))


def download(root: Path) -> Path:
    """Downloads the data set with torchaudio, which checks its SHA-256, and returns its folder below ``root``.

    Raises DataError where it cannot be had. What was begun in vain is removed.
    """
    version = VERSIONS[0]
    missing = f"Speech Commands was not found under {root} (looked for {ARCHIVE_FOLDER}/{' and '.join(VERSIONS)})"
    advice = "run `make data`, or point NAS_DATA or --data-root at a folder that holds one of them"
    target = root / ARCHIVE_FOLDER / version
    try:
        with download_folder(root) as temporary:
            from torchaudio.datasets import SPEECHCOMMANDS

            SPEECHCOMMANDS(temporary, url=version, download=True)
            target.parent.mkdir(exist_ok=True)
            (temporary / ARCHIVE_FOLDER / version).rename(target)
    except (OSError, EOFError, RuntimeError, tarfile.TarError) as error:
        raise DataError(f"{missing} and could not be downloaded ({error}): {advice}") from error
    return target


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of clips ({error})") from error
    clips = [line.strip() for line in lines if line.strip()]
    for clip in clips:
        if clip.count("/") != 1 or clip.startswith(("/", ".")) or "\0" in clip:
            raise DataError(f"{path} lists {clip!r}; word/name.wav expected")
    return clips
