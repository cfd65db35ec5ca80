"""Ranges of activations: found before fake quantisation begins, followed for a while, then fixed."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from firmware.quantize import Range
from nas.training.network import Seen

Ranges = dict[str, Range]

FOLLOW_EVERY = 4
"""Steps between two looks at the extremes: they move slowly, and looking costs a pass over every tensor."""

FOLLOW_UNTIL = 0.5
"""Part of the fake-quantised training after which the ranges stay, so that weights settle on fixed scales."""

_MOMENTUM = 0.1


def extremes(seen: Seen) -> Ranges:
    """Least and greatest values as numbers, fetched from the device at once."""
    if not seen:
        return {}
    values = torch.stack([torch.stack(pair) for pair in seen.values()]).tolist()
    return {name: (low, high) for name, (low, high) in zip(seen, values, strict=True)}


def averaged(batches: Iterable[Ranges]) -> Ranges:
    """Mean of the extremes of several batches: less swayed by single values than the extremes of all."""
    batches = list(batches)
    return {
        name: (
            sum(batch[name][0] for batch in batches) / len(batches),
            sum(batch[name][1] for batch in batches) / len(batches),
        )
        for name in batches[0]
    }


def followed(ranges: Ranges, seen: Ranges) -> Ranges:
    """``ranges`` moved a tenth of the way to the extremes of the latest batch."""
    return {
        name: (
            low + _MOMENTUM * (seen[name][0] - low),
            high + _MOMENTUM * (seen[name][1] - high),
        )
        for name, (low, high) in ranges.items()
    }
