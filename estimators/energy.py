"""Time and energy of one inference."""

from __future__ import annotations

from estimators.targets import Target


def seconds(target: Target, cycles: float) -> float:
    """Seconds that ``cycles`` take at the target's clock."""
    return cycles / target.clock_hz


def joules(target: Target, duration: float) -> float:
    """Joules for ``duration`` seconds of inferring.

    Power hardly depends on the network: 42 to 44 mW over all engines and both networks of MLPerf Tiny on the
    NUCLEO-L4R5ZI. So energy is power times time, with the target's default way of being supplied.
    """
    return target.power[0].watts * duration
