"""Features of a task's clips on disk, so that each front end's are computed once."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firmware.frontend import reference
from nas.audio.kept import features_file, kept_features
from search_spaces.frontend import FrontEnd

if TYPE_CHECKING:
    from nas.tasks.task import Sound

_log = logging.getLogger(__name__)

Int8 = NDArray[np.int8]
_FEW = 500
"""Fewer clips are done in numpy before torch is even imported."""
_BATCH = 64


def sound_features(sound: Sound, frontend: FrontEnd) -> tuple[Int8, Int8, Int8]:
    """Features int8 (N, frames, values, 1) of the training, validation and test clips, as they are (unaugmented).

    From the cache folder where they are there, see ``kept_features``.
    """
    key = features_key(sound, frontend)
    clips = {"train": sound.train, "val": sound.val, "test": sound.test}
    shapes: dict[str, tuple[int, ...]] = {split: (len(clips[split]), *frontend.shape) for split in clips}

    def make() -> dict[str, Int8]:
        _log.info("computing the features %s of %d clips", frontend.name, sum(map(len, clips.values())))
        return {split: compute(frontend, clips[split]) for split in clips}

    features = kept_features(features_file(frontend.name, key), key, shapes, make)
    return features["train"], features["val"], features["test"]


def compute(frontend: FrontEnd, clips: NDArray[np.int16]) -> Int8:
    """Features int8 (N, frames, values, 1) of clips int16 (N, samples); many are computed in torch, which is faster."""
    if len(clips) < _FEW:
        return reference.features(frontend, clips)
    import torch

    from nas.audio.torch_frontend import TorchFrontEnd

    twin = TorchFrontEnd(frontend, torch.device("cpu"))
    features = np.empty((len(clips), *frontend.shape), np.int8)
    for first in range(0, len(clips), _BATCH):
        batch = np.array(clips[first : first + _BATCH])  # a copy: torch takes no arrays that are read-only
        features[first : first + len(batch), ..., 0] = twin(torch.from_numpy(batch)).numpy()
    return features


def features_key(sound: Sound, frontend: FrontEnd) -> str:
    """Digest of all that decides the features: of the arithmetic, what it makes of some noise."""
    digest = hashlib.sha256(json.dumps(frontend.to_json(), sort_keys=True).encode())
    digest.update(sound.digest.encode())
    digest.update(reference.features(frontend, _probe(frontend.samples)).tobytes())
    return digest.hexdigest()


def _probe(samples: int) -> NDArray[np.int16]:
    """Four clips of noise from very quiet to full scale, by a linear congruential generator."""
    state = np.empty(samples, np.int64)
    value = 1
    for index in range(samples):
        value = (value * 1_103_515_245 + 12_345) % (1 << 31)
        state[index] = (value >> 15) - (1 << 15)
    return np.stack([state >> shift for shift in (0, 4, 8, 12)]).astype(np.int16)
