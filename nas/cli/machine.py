"""The machine itself: ``nas doctor`` and ``nas demo``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas import units
from nas.cli import errors
from nas.cli.options import DataRoot
from nas.cli.output import Json, Output, Quiet, table
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from nas.demo import Demo

RUN = Path("runs/demo")


def doctor(
    data: DataRoot = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Say what is there, what is missing, and the command that brings it."""
    from nas.doctor import examine

    findings = list(examine(data))
    broken = [finding.name for finding in findings if finding.required and not finding.ok]
    lines = table(
        ("", "what", "found", "command that brings it"),
        (("ok" if f.ok else "MISSING" if f.required else "no", f.name, f.found, f.remedy or "") for f in findings),
    )
    lines.append(f"missing and needed: {', '.join(broken)}" if broken else "everything that is needed is there")
    Output(json, quiet).result({"ok": not broken, "findings": [f.to_json() for f in findings]}, lines)
    return errors.NO if broken else errors.OK


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run; one that is there is gone on with.")
    ] = RUN,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search, train, export and validate on real images, within five minutes on two cores."""
    from nas.cli import firmware, search
    from nas.demo import JOBS, TARGET, TASK, TRIALS, Demo, demonstrate
    from nas.report import front_document
    from nas.search.progress import progress_on
    from nas.search.run import CONFIG, Run

    output = Output(json, quiet)
    if (out / CONFIG).exists():
        output.note(f"{out} holds a run already: going on with it; remove it to begin anew")
    output.note(f"searching {TASK} for {TARGET}: {TRIALS} candidates, {JOBS} at a time")
    output.note("what violates the budget is never trained")

    def found(run: Run) -> None:
        if not json:
            print(*search.tables(run), "", sep="\n", flush=True)
        output.note("exporting the most accurate on the validation split; building and running its C on the core")

    result = demonstrate(out, progress_on(sys.stderr, quiet), found)
    if not isinstance(result, Demo):
        if result.status == "stopped":
            again = f"nas demo --out {out}"
            raise errors.Interrupted(f"finished trainings are kept; go on with: {again}")
        raise NasError(result.message)
    document = {
        "search": result.summary.to_dict(),
        "front": front_document(result.run),
        "folder": str(result.folder),
        "validation": firmware.document(result.validation),
        "seconds": result.seconds,
    }
    output.result(document, _verdict(result))
    return errors.OK if result.validation.passed else errors.NO


def _verdict(result: Demo) -> Iterator[str]:
    """The last lines: what was proved and measured."""
    from nas.cli import firmware

    picture = result.run.path / "front.html"
    yield f"candidate {result.summary.best} as C: {result.folder}; picture of the front: {picture}"
    yield f"done in {result.seconds:.0f} s; draws that violate the budget: {units.percent(result.summary.drawn.share)}"
    yield ""
    yield from firmware.verdict(result.validation)
    yield from firmware.comparison(result.validation, ("sram_bytes", "flash_bytes", "cycles"))


COMMANDS = {"doctor": doctor, "demo": demo}
