"""Peak SRAM of the firmware: the arena, the stack below ``model_invoke``, static data."""

from __future__ import annotations

from typing import NamedTuple

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
    """SRAM in bytes: the plan's arena, the stack of the kernel that needs most, other static data."""
    depth = plan.target.stack.kernels
    return Sram(plan.arena_bytes, max(depth[step.kernel] for step in plan.steps), plan.target.data.bytes)
