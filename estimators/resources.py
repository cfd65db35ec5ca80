"""Everything a network costs on a microcontroller, each number with its kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Any

from estimators import energy, frontend
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
    ``flash_bytes`` = ``weights_bytes`` + ``bias_bytes`` + ``table_bytes`` (requantisation and look-up tables, a front
    end's constants, parameter structures) + ``code_bytes`` (kernels, front end and model.c).
    ``cycles`` are those of one inference and, where the network starts from sound, of the ``frontend_cycles`` that make
    its input from a whole clip; streaming spreads those over the frames.
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
    frontend_cycles: int = 0
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
    front = graph.frontend
    front_cycles = 0 if front is None else round(frontend.cycles(front, target.frontend.cycles))
    count = round(cycles(plan)) + front_cycles
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
        frontend_cycles=front_cycles,
        seconds=duration,
        joules=energy.joules(target, duration),
        kinds=_kinds(target, front is not None),
    )


@cache
def _kinds(target: Target, sound: bool) -> Mapping[str, str]:
    """The kind of each field on ``target``: a sum or product is as good as its weakest part.

    ``sound``: with a front end. Without one, its cycles are exactly 0.
    """
    front = target.frontend.kind if sound else EXACT
    stack, data, code = weakest(target.stack.kind, front), target.data.kind, weakest(target.code.kind, front)
    cycles_kind = weakest(target.cycles.kind, front)
    duration = weakest(cycles_kind, target.clock.kind)
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
            "cycles": cycles_kind,
            "frontend_cycles": front,
            "seconds": duration,
            "joules": weakest(duration, target.power[0].kind),
        }
    )
