"""What there is to choose from: ``nas targets``, ``nas spaces``, ``nas networks``, ``nas tasks``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

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


def spaces(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One space, with the values of all its choices.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the search spaces: choices, number of vectors of choices, and the published networks in them."""
    from search_spaces import space_names

    rows = [_space(known) for known in ([name] if name is not None else space_names())]
    Output(json, quiet).result({"spaces": rows}, _space_lines(rows, detailed=name is not None))


def networks(json: Json = False, quiet: Quiet = False) -> None:
    """List the published networks: our exact counts, and the published ones beside ours counted the same way."""
    from search_spaces import network_names

    rows = [_network(name) for name in network_names()]
    headings = ("network", "input", "params (exact)", "MACs (exact)", "published params", "MACs", "counting")
    cells = [line for row in rows for line in _network_cells(row)]
    lines = table((*headings, "counted so: params", "MACs", "space", "source"), cells)
    notes = (f"{row['name']}: {claim['note']}" for row in rows for claim in row["published"] if claim["note"])
    Output(json, quiet).result({"networks": rows}, [*lines, *notes])


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
                units.extents(row["input_shape"]),
                str(row["classes"]),
                row["data"] or "missing: run `make data`",
                row["description"],
            )
            for row in rows
        ),
    )
    Output(json, quiet).result({"tasks": rows}, lines)


def _space(name: str) -> dict[str, Any]:
    """A space as JSON, counted for the input and classes of the first published network in it, else of small images."""
    from search_spaces import get_space, network, network_names, published_network

    points = [known for known in network_names() if published_network(known).space == name]
    first = network(points[0]) if points else None
    shape, classes = ((32, 32, 3), 10) if first is None else (first.input_shape, first.output_shape[2])
    space = get_space(name, shape, classes)
    choices = space.distributions().values()
    return {
        "name": name,
        "description": space.description,
        "size": space.size,
        "log10_size": round(math.log10(space.size), 2),
        "counted_for": {"input_shape": list(shape), "classes": classes},
        "choices": {choice.name: list(choice.values) for choice in choices},
        "defaults": {choice.name: choice.default for choice in choices if choice.default is not None},
        "networks": [_counts(point) for point in points],
    }


def _space_lines(rows: Sequence[dict[str, Any]], detailed: bool) -> Iterator[str]:
    """A paragraph for each space; ``detailed`` with the values of every choice."""
    for row in rows:
        basis = f"inputs of {units.extents(row['counted_for']['input_shape'])}, {row['counted_for']['classes']} classes"
        yield f"{row['name']}: {row['description']}"
        yield f"  {len(row['choices'])} choices, {_size(row['size'])} vectors of choices (for {basis})"
        if detailed:
            values = ((name, str(len(offers)), _words(offers)) for name, offers in row["choices"].items())
            yield from _indented(table(("choice", "values", "which"), values))
        if row["networks"]:
            points = (
                (p["name"], units.extents(p["input_shape"]), units.number(p["params"]), units.number(p["macs"]))
                for p in row["networks"]
            )
            yield from _indented(table(("network", "input", "params (exact)", "MACs (exact)"), points))
        yield ""
    yield "A task of sound adds one choice to those of a space: its front end."


def _counts(name: str) -> dict[str, Any]:
    """Our own counts of a published network, as JSON."""
    from search_spaces import network

    graph = network(name)
    counts = {"params": graph.params, "macs": graph.macs}
    return {
        "name": name,
        "input_shape": list(graph.input_shape),
        **counts,
        "kinds": dict.fromkeys(counts, "exact"),
    }


def _network(name: str) -> dict[str, Any]:
    """A published network as JSON; each claim about it with what we count in the claim's own way."""
    from search_spaces import network, published_network
    from search_spaces.counting import count

    known, graph = published_network(name), network(name)
    claims = [
        {
            "params": claim.params,
            "macs": claim.macs,
            "counting": claim.counting,
            "counted": asdict(count(graph, claim.counting)),
            "note": claim.note,
            "source": claim.source or known.source,
        }
        for claim in known.claims
    ]
    return {**_counts(name), "space": known.space, "source": known.source, "published": claims}


def _network_cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A line of the table for the first claim about a network, or for none, and one for each further claim."""
    own = (row["name"], units.extents(row["input_shape"]), units.number(row["params"]), units.number(row["macs"]))
    where = (row["space"] or "-", row["source"])
    for i, claim in enumerate(row["published"] or [None]):
        told = ("",) * 5 if claim is None else _claim_cells(claim)
        yield (*own, *told, *where) if i == 0 else ("",) * len(own) + (*told, "", claim["source"])


def _claim_cells(claim: dict[str, Any]) -> tuple[str, ...]:
    ours = claim["counted"]
    pairs = [(claim[field], ours[field]) for field in ("params", "macs")]
    said = ("" if value is None else units.number(value) for value, _ in pairs)
    counted = ("" if value is None else units.number(same) for value, same in pairs)
    return (*said, claim["counting"], *counted)


def _size(size: int) -> str:
    """A number of vectors: exact as far as people read digits, else as a power of ten."""
    return units.number(size) if size < 1_000_000 else f"10^{math.log10(size):.1f}"


def _words(values: Sequence[object]) -> str:
    """Values of a choice; switches as people say them."""
    return ", ".join({True: "yes", False: "no"}[v] if isinstance(v, bool) else str(v) for v in values)


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _memory_kind(regions: Iterable[Region], role: str) -> str:
    """How far the sum over the regions of a role can be trusted: as far as its least trusted part."""
    from estimators.kinds import weakest

    chosen = [region for region in regions if region.role == role]
    return weakest(*(part.kind for region in chosen for part in (region, *region.reserved)))


def _with_kind(text: str, kind: str) -> str:
    return text if kind == "exact" else f"{text}, {kind}"


COMMANDS = {"targets": targets, "spaces": spaces, "networks": networks, "tasks": tasks}
