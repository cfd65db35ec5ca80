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
from nas.audio.torch_frontend import TorchFrontEnd
from nas.cache import cache_folder
from nas.tasks.task import Sound
from nas.training.checkpoint import CheckpointError, load_arrays, save_arrays
from search_spaces.errors import NasError

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
        """One version: from the cache folder, else computed and kept there.

        A damaged file is made again with a warning; where nothing can be written a warning says so.
        """
        key = self._key(version)
        path = cache_folder() / "features" / f"{self.frontend.name}-version{version}-{key[:24]}.npz"
        shape = (len(self.labels), self.frontend.frames, self.frontend.values)
        if path.exists():
            try:
                arrays, document = load_arrays(path)
                found = arrays.get(_NAME)
                if found is not None and found.shape == shape and found.dtype == np.int8 and document.get("key") == key:
                    return found
                raise CheckpointError(f"{path} does not hold the features that its name says")
            except CheckpointError as error:
                _log.warning("%s; the features are computed again", error)
        _log.info("computing variation %d of %d clips (%s)", version, len(self.labels), self.frontend.name)
        features = self._made(version)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_arrays(path, {_NAME: features}, {"key": key})
        except (OSError, NasError) as error:
            _log.warning("augmented features could not be kept, so they are computed every time: %s", error)
        return features

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
