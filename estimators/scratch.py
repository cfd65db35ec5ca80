"""Bytes that a kernel needs in the arena beside its tensors, during its own step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from estimators.kernels import Kernel
from search_spaces.ops import Op, Shape

SCRATCH: Final[dict[Kernel, Callable[[Op, Shape], int]]] = {}
"""How the scratch bytes of a kernel follow from the operation and its input's shape; others need none."""


def scratch_bytes(kernel: Kernel, op: Op, input_shape: Shape) -> int:
    """Scratch of one step in bytes."""
    return SCRATCH[kernel](op, input_shape) if kernel in SCRATCH else 0
