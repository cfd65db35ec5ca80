"""A whole split as tensors on the device, and batches of it, plain or augmented."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firmware.int8_model import Quant
from nas.audio.augment import WaveAugmenter, mask_features
from nas.audio.torch_frontend import TorchFrontEnd
from nas.audio.versions import ARITHMETIC, Versions
from nas.tasks.task import IMAGE_QUANT, Augmentation, Sound, TaskData
from search_spaces.frontend import FrontEnd

_GRAY = 128
_AS_THEY_ARE = Augmentation()


class Images:
    """Images uint8 (N, height, width, channels) and labels (N,) on a device.

    Batches are float (n, channels, height, width) in channels-last order: the real numbers that the bytes stand for
    under ``quant``, the quantisation of the network's input. ``how`` they are varied in training.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        device: torch.device,
        quant: Quant = IMAGE_QUANT,
        how: Augmentation = _AS_THEY_ARE,
    ) -> None:
        self.bytes = _tensor(images).to(device)
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(device)
        self.quant, self.how = quant, how

    def __len__(self) -> int:
        return len(self.labels)

    def plain(self, rows: Tensor | slice) -> Tensor:
        """The images of ``rows`` as they are."""
        return _real(self.bytes[rows], self.quant)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order with their labels."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self.plain(rows), self.labels[rows]

    def begin(self, epoch: int) -> None:
        """Prepares for the batches of an epoch, counted from 0."""

    def augmented(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """The images of ``rows``, each varied at random; ``generator`` is a CPU generator."""
        how, count, (height, width, channels) = self.how, len(rows), self.bytes.shape[1:]
        device = self.bytes.device

        def draw(low: int, high: int) -> Tensor:
            return torch.randint(low, high, (count, 1), generator=generator).to(device, non_blocking=True)

        y = torch.arange(height, device=device) + draw(-how.shift, how.shift + 1)
        x = torch.arange(width, device=device) + draw(-how.shift, how.shift + 1)
        outside = None
        if how.shift and not how.reflect:
            outside = ((y < 0) | (y >= height))[:, :, None] | ((x < 0) | (x >= width))[:, None, :]
        y, x = _mirrored(y, height), _mirrored(x, width)
        if how.flip:
            x = torch.where(draw(0, 2) == 1, width - 1 - x, x)
        pixels = (rows[:, None, None] * height + y[:, :, None]) * width + x[:, None, :]
        batch = self.bytes.view(-1, channels).index_select(0, pixels.view(-1)).view(count, height, width, channels)
        if outside is not None:
            batch.masked_fill_(outside[..., None], 0)
        if how.cutout:
            rows_cut = _within(draw(0, height), how.cutout, height)[:, :, None]
            batch.masked_fill_((rows_cut & _within(draw(0, width), how.cutout, width)[:, None, :])[..., None], _GRAY)
        return _real(batch, self.quant)


class Clips(Images):
    """Sounds int16 (N, samples) whose images are the features that a front end makes of them.

    Plain batches are made of the features as they are; augmented ones of varied waveforms, then masked. ``versions``
    variations take turns, epoch by epoch (see ``nas.audio.versions``); with 0 every batch varies its clips anew.
    """

    def __init__(
        self,
        sound: Sound,
        frontend: FrontEnd,
        features: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        device: torch.device,
        quant: Quant,
        versions: int,
    ) -> None:
        super().__init__(features, labels, device, quant)
        self.clips = _tensor(sound.train).to(device)
        self.front_end = TorchFrontEnd(frontend, device)
        self.vary = WaveAugmenter(sound.augmentation, sound.train.shape[1], sound.noise, sound.silence, device)
        self.versions = Versions(sound, self.clips, self.labels, self.vary, self.front_end)
        self.count = versions
        self._current = -1
        self._features = torch.empty(0)

    def begin(self, epoch: int) -> None:
        if self.count and self._current != epoch % self.count:
            self._current = epoch % self.count
            self._features = _tensor(self.versions[self._current]).to(self.labels.device)

    def augmented(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Features of the clips of ``rows``, varied, then masked; ``generator`` is a CPU generator."""
        if self.count:
            features = self._features[rows]
        else:
            features = self.front_end(self.vary(self.clips, rows, self.labels[rows], generator))
        return _real(mask_features(features, self.vary.how, generator).unsqueeze(3), self.quant)


def training_batches(task: TaskData, device: torch.device, augment: bool = True, versions: int = 0) -> Images:
    """The training split of ``task``, a task of sounds bound to a front end; varied where ``augment`` is true."""
    if task.sound is None or task.frontend is None or not augment:
        how = task.augmentation if augment else _AS_THEY_ARE
        return Images(task.x_train, task.y_train, device, task.input_quant, how)
    return Clips(task.sound, task.frontend, task.x_train, task.y_train, device, task.input_quant, versions)


def validation_batches(task: TaskData, device: torch.device) -> Images:
    """The validation split of ``task``, which is never varied."""
    return Images(task.x_val, task.y_val, device, task.input_quant)


def training_data_digest(task: TaskData) -> str:
    """SHA-256 of everything that batches of the training split are made of."""
    digest = hashlib.sha256(repr((task.input_quant, task.augmentation)).encode())
    arrays: list[NDArray[Any]] = [task.x_train, task.y_train]
    if task.sound is not None:
        sound = task.sound
        digest.update(repr((sound.digest, sound.augmentation, sound.silence, task.frontend, ARITHMETIC)).encode())
        arrays += sound.noise
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _tensor(values: NDArray[Any]) -> Tensor:
    """``values`` as a tensor that shares their memory, which may be a file's and read-only: nobody writes to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(values))


def _real(batch: Tensor, quant: Quant) -> Tensor:
    """Bytes (uint8: integer + 128) or integers (int8) (n, height, width, channels) as real numbers, channels first."""
    real = batch.permute(0, 3, 1, 2).to(torch.float32)
    zero = quant.zero_point + (128 if batch.dtype == torch.uint8 else 0)
    return (real.sub_(zero) if zero else real).mul_(quant.scale)


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Indices outside 0..size-1 mirrored at the border, which is not repeated."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)


def _within(centre: Tensor, side: int, size: int) -> Tensor:
    distance = torch.arange(size, device=centre.device) - centre
    return (distance >= -(side // 2)) & (distance < side - side // 2)
