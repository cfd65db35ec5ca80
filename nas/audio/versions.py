"""Augmented versions of a sound task's training clips, as features: what epochs take turns with.

Varying waveforms and computing their features costs a CPU more than training a tiny network on them. So epoch ``e``
trains on version ``e % versions``; each version varies every clip anew, by random numbers of its own that depend on
nothing else, and is kept in the cache folder: trainings of other networks, other seeds and other runs share it. Masks
are drawn in training, afresh for every batch.
"""

from __future__ import annotations

import hashlib
import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.audio.augment import WaveAugmenter
from nas.audio.cache import features_key
from nas.audio.kept import features_file, kept_features
from nas.audio.torch_frontend import TorchFrontEnd
from nas.tasks.task import Sound

_log = logging.getLogger(__name__)

BATCH = 128
ARITHMETIC = 1
"""To be raised when ``nas.audio.augment`` varies clips in another way: it makes features kept before worthless."""
_NAME = "features"


class Versions:
    """Features (int8, N x frames x values) of version after version of the training clips of ``sound``."""

    def __init__(
        self, sound: Sound, clips: Tensor, labels: Tensor, vary: WaveAugmenter, front_end: TorchFrontEnd
    ) -> None:
        self.sound, self.labels, self.clips = sound, labels, clips
        self.vary, self.front_end = vary, front_end
        self.frontend = front_end.frontend

    def __getitem__(self, version: int) -> NDArray[np.int8]:
        """One version: from the cache folder, else computed and kept there, see ``kept_features``."""
        key = self._key(version)
        shape = (len(self.labels), self.frontend.frames, self.frontend.values)

        def make() -> dict[str, NDArray[np.int8]]:
            _log.info("computing variation %d of %d clips (%s)", version, len(self.labels), self.frontend.name)
            return {_NAME: self._made(version)}

        path = features_file(f"{self.frontend.name}-version{version}", key)
        return kept_features(path, key, {_NAME: shape}, make)[_NAME]

    def _made(self, version: int) -> NDArray[np.int8]:
        generator = torch.Generator().manual_seed(version)
        parts = []
        for first in range(0, len(self.labels), BATCH):
            rows = torch.arange(first, min(first + BATCH, len(self.labels)), device=self.clips.device)
            waves = self.vary(self.clips, rows, self.labels[rows], generator)
            parts.append(self.front_end(waves).cpu().numpy())
        return np.concatenate(parts)

    def _key(self, version: int) -> str:
        """Digest of all that decides the features."""
        sound = self.sound
        digest = hashlib.sha256(features_key(sound, self.frontend).encode())
        digest.update(repr((sound.augmentation, sound.silence, version, BATCH, ARITHMETIC)).encode())
        digest.update(self.labels.cpu().numpy().tobytes())
        for recording in sound.noise:
            digest.update(np.ascontiguousarray(recording).data)
        return digest.hexdigest()
