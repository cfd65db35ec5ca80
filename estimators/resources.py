"""Everything a network costs on a microcontroller, each number with its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any

from estimators import energy
from estimators.cycles import cycles
from estimators.flash import flash
from estimators.kinds import EXACT, weakest
from estimators.plan import Plan
from estimators.sram import sram
from estimators.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one network costs on one target, in bytes, cycles, seconds and joules.

    ``sram_bytes`` = ``arena_bytes`` (input, output and kernel scratch included) + ``stack_bytes`` (of
    ``model_invoke``) + ``data_bytes`` (other static variables).
    ``flash_bytes`` = ``weights_bytes`` + ``bias_bytes`` + ``table_bytes`` (requantisation and look-up tables, parameter
    structures) + ``code_bytes`` (kernels and model.c).
    ``kinds`` says for every field how far it can be trusted; see ``estimators.kinds``.
    """

    params: int
    macs: int
    sram_bytes: int
    arena_bytes: int
    stack_bytes: int
    data_bytes: int
    flash_bytes: int
    weights_bytes: int
    bias_bytes: int
    table_bytes: int
    code_bytes: int
    cycles: int
    seconds: float
    joules: float
    kinds: Mapping[str, str] = field(compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: every number under its field's name, and ``kinds``."""
        return {name: getattr(self, name) for name in QUANTITIES} | {"kinds": dict(self.kinds)}


QUANTITIES: tuple[str, ...] = tuple(item.name for item in fields(Resources) if item.name != "kinds")
"""Names of the numbers, in the order in which they are shown."""


def estimate(plan: Plan) -> Resources:
    """What the firmware of ``plan`` costs, without building it."""
    target, graph = plan.target, plan.graph
    memory, constants = sram(plan), flash(plan)
    count = round(cycles(plan))
    duration = energy.seconds(target, count)
    return Resources(
        params=graph.params,
        macs=graph.macs,
        sram_bytes=memory.total,
        arena_bytes=memory.arena,
        stack_bytes=memory.stack,
        data_bytes=memory.data,
        flash_bytes=constants.total,
        weights_bytes=constants.weights,
        bias_bytes=constants.bias,
        table_bytes=constants.tables,
        code_bytes=constants.code,
        cycles=count,
        seconds=duration,
        joules=energy.joules(target, duration),
        kinds=_kinds(target),
    )


@cache
def _kinds(target: Target) -> Mapping[str, str]:
    """The kind of each field on ``target``: a sum or product is as good as its weakest part."""
    stack, data, code = target.stack.kind, target.data.kind, target.code.kind
    duration = weakest(target.cycles.kind, target.clock.kind)
    if target.wait_states is not None:
        duration = weakest(duration, target.wait_states.kind)
    exact = dict.fromkeys(QUANTITIES, EXACT)
    return MappingProxyType(
        exact
        | {
            "sram_bytes": weakest(stack, data),
            "stack_bytes": stack,
            "data_bytes": data,
            "flash_bytes": code,
            "code_bytes": code,
            "cycles": target.cycles.kind,
            "seconds": duration,
            "joules": weakest(duration, target.power[0].kind),
        }
    )
