"""What a trained model hears in audio files: the path of the device, in numpy and integers up to the last step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware import reference
from firmware.frontend.reference import features
from firmware.int8_model import Int8Model
from nas.audio.wav import fit, read_clip
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from search_spaces.ops import Softmax


@dataclass(frozen=True, slots=True)
class Heard:
    """What a model says of one clip of a file, the one that begins after ``seconds``.

    ``outputs``: the model's int8 outputs. ``probabilities``: softmax of the real values that these stand for; nothing
    was done to make them agree with how often the model is right.
    """

    file: str
    seconds: float
    class_names: tuple[str, ...]
    outputs: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def best(self) -> int:
        """Number of the most probable class."""
        return int(np.argmax(self.outputs))

    @property
    def class_name(self) -> str:
        return self.class_names[self.best]


def classify_files(model: Int8Model, files: Sequence[str | Path], every: float | None = None) -> list[Heard]:
    """What ``model`` hears at the beginning of each file, or in clips that begin ``every`` so many seconds.

    A file shorter than a clip counts as followed by silence, one that is longer ends with the last whole clip. Nothing
    is classified unless every file can be read. Raises AudioError for one that cannot, and NasError for a model that
    takes no sound.
    """
    frontend = model.graph.frontend
    if frontend is None:
        raise NasError(f"model {model.graph.name!r} names no front end, so it does not say how it takes sound")
    if every is not None and not (math.isfinite(every) and round(every * frontend.sample_rate) >= 1):
        raise NasError(f"every is {every}; a sample, {1 / frontend.sample_rate} s, or more expected")
    hop = None if every is None else round(every * frontend.sample_rate)
    clips = [_clips(Path(file), frontend, hop) for file in files]
    return [heard for file, of_file in zip(files, clips, strict=True) for heard in _heard(model, file, of_file, hop)]


def _clips(path: Path, frontend: FrontEnd, hop: int | None) -> NDArray[np.int16]:
    """Clips int16 (N, samples) of a file, ``hop`` samples from one to the next; the first one alone for None."""
    if hop is None:
        return read_clip(path, frontend.sample_rate, frontend.samples)[np.newaxis]
    sound = read_clip(path, frontend.sample_rate)
    sound = fit(sound, max(len(sound), frontend.samples))
    return np.lib.stride_tricks.sliding_window_view(sound, frontend.samples)[::hop]


def _heard(model: Int8Model, file: str | Path, clips: NDArray[np.int16], hop: int | None) -> Iterator[Heard]:
    frontend = model.graph.frontend
    assert frontend is not None
    outputs = reference.run(model, features(frontend, clips)).reshape(len(clips), -1)
    quant = model.quant[model.graph.output]
    real = quant.scale * (outputs.astype(np.float64) - quant.zero_point)
    names = tuple(map(str, model.metadata.get("class_names") or range(outputs.shape[1])))
    for number, (row, probabilities) in enumerate(zip(outputs, _probabilities(model, real), strict=True)):
        seconds = number * (hop or 0) / frontend.sample_rate
        yield Heard(str(file), seconds, names, tuple(row.tolist()), tuple(probabilities.tolist()))


def _probabilities(model: Int8Model, real: NDArray[np.float64]) -> NDArray[np.float64]:
    if isinstance(model.graph.ops[-1], Softmax):
        return real
    powers = np.exp(real - real.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result
