"""Optimisers, learning-rate schedules and the loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.training.settings import TrainSettings

_WARM = 0.25
"""Part of a one-cycle schedule in which the learning rate rises."""

_START = 0.1
"""Learning rate at the start of a one-cycle schedule, as part of the greatest."""


def optimiser(network: nn.Module, settings: TrainSettings, *, decay: bool) -> torch.optim.Optimizer:
    """The optimiser of ``settings`` over all parameters; weight decay, where asked for, acts on weights alone."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay if decay else 0.0},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, betas=(settings.momentum, 0.999), foreach=True)
    nesterov = settings.momentum > 0
    return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, foreach=True)


def one_cycle(progress: float) -> float:
    """Part of the greatest learning rate after ``progress`` in [0, 1] of the steps: up linearly, down as a cosine."""
    if progress < _WARM:
        return _START + (1 - _START) * progress / _WARM
    return cosine((progress - _WARM) / (1 - _WARM))


def cosine(progress: float) -> float:
    """Part of the greatest learning rate after ``progress`` in [0, 1] of the steps: down as a cosine to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def loss(logits: Tensor, labels: Tensor, settings: TrainSettings, teacher: Tensor | None = None) -> Tensor:
    """Mean loss of a batch; ``teacher`` holds the teacher's logits for it.

    With a teacher (1 - alpha) * CE + alpha * T^2 * KL(teacher at T || student at T) (Hinton et al., 2015).
    """
    hard = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
    if teacher is None or settings.distill is None:
        return hard
    alpha, temperature = settings.distill.alpha, settings.distill.temperature
    student = F.log_softmax(logits / temperature, 1)
    soft = F.kl_div(student, F.log_softmax(teacher / temperature, 1), reduction="batchmean", log_target=True)
    return (1 - alpha) * hard + alpha * temperature**2 * soft
