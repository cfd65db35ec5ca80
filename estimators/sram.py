"""Peak SRAM of the firmware: the arena, the stack below ``model_invoke``, static data."""

from __future__ import annotations

from typing import NamedTuple

from estimators.frontend import data_bytes
from estimators.plan import Plan


class Sram(NamedTuple):
    """Bytes of SRAM. ``arena`` is exact: the emitter allocates what the plan says."""

    arena: int
    stack: int
    data: int

    @property
    def total(self) -> int:
        return self.arena + self.stack + self.data


def sram(plan: Plan) -> Sram:
    """SRAM in bytes: the plan's arena, the stack of the kernel or front end that needs most, other static data."""
    depth = plan.target.stack.kernels
    stack, data = max(depth[step.kernel] for step in plan.steps), plan.target.data.bytes
    front_end = plan.graph.frontend
    if front_end is not None:
        stack, data = max(stack, plan.target.frontend.stack), data + data_bytes(front_end)
    return Sram(plan.arena_bytes, stack, data)
