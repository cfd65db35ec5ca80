from __future__ import annotations

import math

import pytest
import torch

from nas.training.optimisation import cosine, loss, one_cycle, optimiser
from nas.training.settings import Distillation, TrainSettings


def test_schedules() -> None:
    assert [one_cycle(p) for p in (0, 0.125, 0.25, 0.625, 1)] == pytest.approx([0.1, 0.55, 1, 0.5, 0])
    assert [cosine(p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])


def test_loss_without_a_teacher_is_cross_entropy() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])
    assert float(loss(logits, torch.tensor([1]), TrainSettings())) == pytest.approx(-math.log(0.75))


def test_label_smoothing() -> None:
    logits = torch.tensor([[0.0, math.log(3)]])
    expected = -(0.9 * math.log(0.75) + 0.1 * math.log(0.25))
    settings = TrainSettings(label_smoothing=0.2)
    assert float(loss(logits, torch.tensor([1]), settings)) == pytest.approx(expected)


def test_distillation_by_hand() -> None:
    # At T = 2 the teacher's logits (0, 2 ln 3) give 1/4, 3/4 and the student's (0, 0) give 1/2, 1/2.
    settings = TrainSettings(distill=Distillation(alpha=0.25, temperature=2))
    student, teacher = torch.zeros(1, 2), torch.tensor([[0.0, 2 * math.log(3)]])
    divergence = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    expected = 0.75 * math.log(2) + 0.25 * 4 * divergence
    assert float(loss(student, torch.tensor([0]), settings, teacher)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weight_decay_on_weights_alone(kind: str) -> None:
    layer = torch.nn.Linear(2, 3)
    settings = TrainSettings(optimizer=kind, weight_decay=0.1)  # type: ignore[arg-type]
    weights, others = optimiser(layer, settings, decay=True).param_groups
    assert ([*weights["params"]], weights["weight_decay"]) == ([layer.weight], 0.1)
    assert ([*others["params"]], others["weight_decay"]) == ([layer.bias], 0)
    assert optimiser(layer, settings, decay=False).param_groups[0]["weight_decay"] == 0
