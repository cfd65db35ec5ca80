"""From a trained model to C and to the proof: ``nas export`` and ``nas validate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nas import units
from nas.cli import errors
from nas.cli.options import DataRoot, FitRam, Model, TargetName
from nas.cli.output import Json, Output, Quiet, table

if TYPE_CHECKING:
    from firmware.validate import Validation
    from search_spaces.graph import Graph

Task = Annotated[str | None, typer.Option("--task", help="Task whose test images are used; else the model's own.")]
Count = Annotated[int | None, typer.Option("--vectors", min=1, help="Number of test images that become test vectors.")]

QUANTITIES = ("sram_bytes", "stack_bytes", "flash_bytes", "instructions", "cycles", "seconds")
_OF_CYCLES = ("cycles", "frontend_cycles", "seconds", "joules")


def export(
    model: Model,
    target: TargetName,
    out: Annotated[Path, typer.Option("--out", "-o", help="The new folder.")],
    task: Task = None,
    vectors: Count = None,
    name: Annotated[str, typer.Option("--name", help="Prefix of the C functions.")] = "model",
    fit_ram: FitRam = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export even if it was changed.")] = False,
    data: DataRoot = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model as a self-contained folder of C99."""
    from firmware.dead_channels import without_dead_channels
    from firmware.folder import read_manifest
    from nas import api
    from nas.networks import find_model

    trained = find_model(model)
    found = without_dead_channels(trained)
    images = api.task_of(found, task, data)
    folder = api.export(
        found, target, out, task=images, vectors=vectors, name=name, overwrite=overwrite, data=data, fit_ram=fit_ram
    )
    manifest = read_manifest(folder)
    predicted = manifest["predicted"]
    shown = ("sram_bytes", "flash_bytes", "cycles", "seconds", "joules")
    rows = ((field, units.quantity(field, predicted[field]), predicted["kinds"][field]) for field in shown)
    real = "random" if images is None else f"real ({images.name})"
    lines = [
        f"wrote {folder}: {len(manifest['files']) + 1} files, {manifest['vectors']} {real} test vectors, for {target}",
        *table(("quantity", "predicted", "kind"), rows),
        *_left_out(trained.graph, found.graph),
        f"check it with: nas validate {folder}",
    ]
    Output(json, quiet).result({"folder": str(folder), **manifest}, lines)


def _left_out(trained: Graph, exported: Graph) -> list[str]:
    """What the export's network lacks of the trained one; nothing where they are equal."""
    if exported is trained:
        return []
    parameters = units.number(trained.params - exported.params)
    return [f"left out {parameters} parameters of channels that no input can change: every output byte stays the same"]


def validate(
    source: Annotated[
        str, typer.Argument(metavar="FOLDER|MODEL", help="An exported folder, or what `nas export` takes.")
    ],
    target: Annotated[str | None, typer.Option("--target", "-t", help="Microcontroller; else the folder's.")] = None,
    task: Task = None,
    compiler: Annotated[Literal["gcc", "zig"] | None, typer.Option("--compiler", help="Compiler for the core.")] = None,
    vectors: Count = None,
    data: DataRoot = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Build for the core, run on it, compare every byte with Python, and measure; exit code 1 where a byte differs."""
    from nas import api

    out = Output(json, quiet)
    out.note("building for the core and for this machine, then running both")
    result = api.validate(source, target, task=task, vectors=vectors, compiler=compiler, data=data)
    out.result(document(result), report(result))
    return errors.OK if result.passed else errors.NO


def document(result: Validation) -> dict[str, Any]:
    """The validation as JSON: what was measured, and under ``predicted`` the same names.

    Python predicts bytes, so whatever follows from them alone is predicted by what was compared with them.
    """
    from estimators.kinds import MEASURED, weakest

    found = result.to_dict()
    follows = {"bit_exact": True, "vectors": result.vectors, "instructions": None}
    accuracy = result.test_accuracy if result.host_bit_exact else None
    predicted = {**follows, **found["predicted"], "test_accuracy": accuracy}
    kinds = {name: MEASURED for name in predicted if name in found}
    kinds |= dict.fromkeys(("cycles", "frontend_cycles"), result.cycles_kind)
    # Cycles are measured without wait states, so time is as good as what is known of those.
    waits = result.target.wait_states
    kinds["seconds"] = weakest(result.cycles_kind, result.target.clock.kind, *([] if waits is None else [waits.kind]))
    # Nobody measured energy: it is that time at the power that the chip is said to draw.
    kinds["joules"] = weakest(kinds["seconds"], result.target.power[0].kind)
    return found | {"kinds": kinds, "predicted": predicted}


def report(result: Validation) -> Iterator[str]:
    """Lines for people: measured beside predicted, the verdict last."""
    yield f"on {result.target.title}"
    yield f"built by {result.compiler or 'nothing'} for the core, by {result.host_compiler} for this machine"
    yield from comparison(result, [*QUANTITIES, *(["frontend_cycles"] if result.predicted.frontend_cycles else [])])
    if result.note:
        yield f"note: {result.note}"
    yield from verdict(result)


def comparison(result: Validation, fields: Sequence[str]) -> list[str]:
    """A table of what was measured beside what was predicted; cycles of another core than the chip's are marked."""
    from estimators.kinds import MEASURED

    predicted = result.predicted.to_dict()
    mark = "" if result.cycles_kind == MEASURED else " *"
    rows = []
    for field in fields:
        measured, guess = getattr(result, field), predicted.get(field)
        rows.append(
            (
                field,
                "-" if guess is None else units.quantity(field, guess),
                "-" if measured is None else units.quantity(field, measured) + (mark if field in _OF_CYCLES else ""),
                "-" if measured is None or guess is None else units.difference(guess, measured),
                "-" if guess is None else predicted["kinds"][field],
            )
        )
    lines = table(("quantity", "predicted", "measured", "off by", "kind of the prediction"), rows)
    return [*lines, f"* {result.cycles_kind}"] if mark else lines


def verdict(result: Validation) -> Iterator[str]:
    """Whether the bytes agree, and the accuracy that they have."""
    tested = "clips" if result.predicted.frontend_cycles else "images"
    if result.mismatch is not None:
        m = result.mismatch
        yield f"DIFFERS: build {m.build}, input {m.index}, byte {m.byte}: {m.got} instead of {m.expected}"
    elif result.bit_exact is None:
        yield "bit-exact on this machine; not run on the core"
    else:
        images = f" and all {result.test_images} test {tested} on this machine" if result.test_images else ""
        clips = f" and {result.clips} clips" if result.clips else ""
        yield f"bit-exact over all {result.vectors} vectors{clips} on the core{images}"
    if result.test_accuracy is not None:
        accuracy = units.percent(result.test_accuracy)
        yield f"test accuracy of the integer model: {accuracy} of {result.test_images} {tested}"


COMMANDS = {"export": export, "validate": validate}
