"""What there is to choose from: ``nas targets``, ``nas spaces``, ``nas networks``, ``nas tasks``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nas import units
from nas.cli.options import DataRoot
from nas.cli.output import Json, Output, Quiet, table

if TYPE_CHECKING:
    from estimators import Region


def targets(json: Json = False, quiet: Quiet = False) -> None:
    """List the microcontrollers."""
    from estimators import load_target, target_names

    rows: list[dict[str, Any]] = []
    for target in map(load_target, target_names()):
        kinds = {
            "clock_hz": target.clock.kind,
            "sram_bytes": _memory_kind(target.memory, "sram"),
            "flash_bytes": _memory_kind(target.memory, "flash"),
        }
        rows.append(
            {
                "name": target.name,
                "title": target.title,
                "core": target.core.name,
                "clock_hz": target.clock_hz,
                "sram_bytes": target.usable_sram_bytes,
                "flash_bytes": target.usable_flash_bytes,
                "kinds": kinds,
            }
        )
    lines = table(
        ("target", "core", "clock", "usable SRAM", "usable flash", "what it is"),
        (
            (
                row["name"],
                row["core"],
                f"{row['clock_hz'] / 1e6:g} MHz",
                _with_kind(units.size(row["sram_bytes"]), row["kinds"]["sram_bytes"]),
                _with_kind(units.size(row["flash_bytes"]), row["kinds"]["flash_bytes"]),
                row["title"],
            )
            for row in rows
        ),
    )
    Output(json, quiet).result({"targets": rows}, lines)


def spaces(json: Json = False, quiet: Quiet = False) -> None:
    """List the search spaces, counted for images of 32x32x3 and ten classes."""
    from search_spaces import get_space, network_names, published_network, space_names

    rows: list[dict[str, Any]] = []
    for name in space_names():
        space = get_space(name, (32, 32, 3), 10)
        rows.append(
            {
                "name": name,
                "description": space.description,
                "choices": {choice.name: list(choice.values) for choice in space.distributions().values()},
                "size": space.size,
                "networks": [known for known in network_names() if published_network(known).space == name],
            }
        )
    lines = table(
        ("space", "choices", "vectors", "published points", "what it is"),
        (
            (
                row["name"],
                str(len(row["choices"])),
                f"{row['size']:.2g}",
                ", ".join(row["networks"]),
                row["description"],
            )
            for row in rows
        ),
    )
    Output(json, quiet).result({"spaces": rows}, lines)


def networks(json: Json = False, quiet: Quiet = False) -> None:
    """List the published networks with their exact counts."""
    from search_spaces import network, network_names, published_network

    rows: list[dict[str, Any]] = []
    for name in network_names():
        known, graph = published_network(name), network(name)
        rows.append(
            {
                "name": name,
                "space": known.space,
                "input_shape": list(graph.input_shape),
                "params": graph.params,
                "macs": graph.macs,
                "source": known.source,
                "kinds": {"params": "exact", "macs": "exact"},
            }
        )
    lines = table(
        ("network", "input", "params (exact)", "MACs (exact)", "space", "source"),
        (
            (
                row["name"],
                "x".join(map(str, row["input_shape"])),
                units.number(row["params"]),
                units.number(row["macs"]),
                row["space"] or "-",
                row["source"],
            )
            for row in rows
        ),
    )
    Output(json, quiet).result({"networks": rows}, lines)


def tasks(
    data: DataRoot = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the tasks and whether their data is there."""
    from nas.tasks import data_root, get_task, task_names

    rows: list[dict[str, Any]] = []
    for task in map(get_task, task_names()):
        rows.append(
            {
                "name": task.name,
                "input_shape": list(task.input_shape),
                "classes": task.classes,
                "description": task.description,
                "data": task.find(data_root(data)),
            }
        )
    lines = table(
        ("task", "input", "classes", "data", "what it is"),
        (
            (
                row["name"],
                "x".join(map(str, row["input_shape"])),
                str(row["classes"]),
                row["data"] or "missing: run `make data`",
                row["description"],
            )
            for row in rows
        ),
    )
    Output(json, quiet).result({"tasks": rows}, lines)


def _memory_kind(regions: Iterable[Region], role: str) -> str:
    """How far the sum over the regions of a role can be trusted: as far as its least trusted part."""
    from estimators.kinds import weakest

    chosen = [region for region in regions if region.role == role]
    return weakest(*(part.kind for region in chosen for part in (region, *region.reserved)))


def _with_kind(text: str, kind: str) -> str:
    return text if kind == "exact" else f"{text}, {kind}"


COMMANDS = {"targets": targets, "spaces": spaces, "networks": networks, "tasks": tasks}
