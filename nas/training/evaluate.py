"""Accuracy over a whole split: of a network in torch, and of the integer model that counts."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from firmware import reference
from firmware.int8_model import Int8Model
from nas.tasks.task import to_int8
from nas.training.batches import Images

_BATCH = 500


@torch.no_grad()
def network_accuracy(network: nn.Module, images: Images) -> float:
    """Share of images that ``network``, in evaluation mode, classifies correctly."""
    training = network.training
    network.eval()
    right = sum(int((network(x).argmax(1) == y).sum()) for x, y in images.batches(_BATCH))
    network.train(training)
    return right / len(images)


def integer_accuracy(model: Int8Model, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
    """Share of images (uint8, N x height x width x channels) that ``model`` gets right, by the numpy reference.

    Among equal outputs the first class wins, as on the device.
    """
    right = 0
    for start in range(0, len(images), _BATCH):
        rows = slice(start, start + _BATCH)
        outputs = reference.run(model, to_int8(images[rows]))
        right += int((outputs.reshape(len(outputs), -1).argmax(1) == labels[rows]).sum())
    return right / len(images)
