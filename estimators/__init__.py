"""What a network costs on a microcontroller: its plan, memory, cycles and energy, without training or building it."""

from estimators.arena import Packing, lower_bound, pack
from estimators.blocks import Block, Overlap
from estimators.budget import Budget, default_budget, violations
from estimators.cycles import step_cycles
from estimators.kernels import IN_PLACE, KERNELS, Kernel, kernel_of
from estimators.plan import MODES, Mode, Plan, lower
from estimators.resources import QUANTITIES, Resources, estimate
from estimators.steps import Placement, Segment, Step
from estimators.targets import Power, Region, Target, load_target, read_target, target_names

__all__ = [
    "IN_PLACE",
    "KERNELS",
    "MODES",
    "QUANTITIES",
    "Block",
    "Budget",
    "Kernel",
    "Mode",
    "Overlap",
    "Packing",
    "Placement",
    "Plan",
    "Power",
    "Region",
    "Resources",
    "Segment",
    "Step",
    "Target",
    "default_budget",
    "estimate",
    "kernel_of",
    "load_target",
    "lower",
    "lower_bound",
    "pack",
    "read_target",
    "step_cycles",
    "target_names",
    "violations",
]
