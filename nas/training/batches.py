"""A whole split as tensors on the device, and batches of it, plain or augmented."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.tasks.task import Augmentation

_GRAY = 128


class Images:
    """Images uint8 (N, height, width, channels) and labels (N,) on a device.

    Batches are float (n, channels, height, width), values byte / 255, in channels-last order.
    """

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], device: torch.device) -> None:
        self.bytes = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def plain(self, rows: Tensor | slice) -> Tensor:
        """The images of ``rows`` as they are."""
        return _real(self.bytes[rows])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order with their labels."""
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            yield self.plain(rows), self.labels[rows]

    def augmented(self, rows: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
        """The images of ``rows``, each varied at random; ``generator`` is a CPU generator."""
        count, (height, width, channels) = len(rows), self.bytes.shape[1:]
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
        return _real(batch)


def _real(batch: Tensor) -> Tensor:
    return batch.permute(0, 3, 1, 2).to(torch.float32).mul_(1 / 255)


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Indices outside 0..size-1 mirrored at the border, which is not repeated."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)


def _within(centre: Tensor, side: int, size: int) -> Tensor:
    distance = torch.arange(size, device=centre.device) - centre
    return (distance >= -(side // 2)) & (distance < side - side // 2)
