"""``nas estimate``: what a network costs on a microcontroller, before it is trained or built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nas import units
from nas.cli.options import BudgetText, FitRam, Network, TargetName
from nas.cli.output import Json, Output, Quiet, table

if TYPE_CHECKING:
    from estimators import Budget, Resources


def estimate(
    network: Network,
    target: TargetName,
    budget: BudgetText = None,
    fit_ram: FitRam = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate memory, time and energy of a network on a microcontroller."""
    from estimators import Budget, default_budget, load_target, violations
    from nas import api
    from nas.networks import find_graph

    chip = load_target(target)
    bounds = {"chip": default_budget(chip)} | ({"budget": Budget.parse(budget)} if budget is not None else {})
    graph = find_graph(network)
    resources = api.estimate(graph, target, fit_ram=fit_ram)
    broken = {whose: violations(resources, limit) for whose, limit in bounds.items()}
    fits = all(excess <= 0 for part in broken.values() for excess in part.values())
    document = {"network": graph.name or network, "target": target, "fit_ram": fit_ram, **resources.to_dict()}
    document |= {"fits": fits, "violations": broken}
    Output(json, quiet).result(document, _lines(resources, bounds, broken, chip.title))


def _lines(
    resources: Resources, bounds: Mapping[str, Budget], broken: Mapping[str, Mapping[str, float]], title: str
) -> Iterator[str]:
    from estimators import QUANTITIES

    yield f"on {title}"
    shown = [field for field in QUANTITIES if field != "frontend_cycles" or resources.frontend_cycles]
    rows = ((field, units.quantity(field, getattr(resources, field)), resources.kinds[field]) for field in shown)
    yield from table(("quantity", "estimate", "kind"), rows)
    for whose, excesses in broken.items():
        limits = bounds[whose].bounds()
        for field, excess in excesses.items():
            verdict = "fits" if excess <= 0 else "TOO MUCH"
            limit = units.quantity(field, limits[field])
            yield f"{verdict}: {field} uses {units.proportion(1 + excess)} the {whose}'s {limit}"


COMMANDS = {"estimate": estimate}
