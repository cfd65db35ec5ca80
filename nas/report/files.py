"""The files of a report, beside the run's own."""

from __future__ import annotations

import json
from pathlib import Path

from firmware.files import atomic_write
from nas.report.front import front_document
from nas.report.page import front_html
from nas.report.picture import front_svg
from nas.search.run import Run


def write_report(run: Run, folder: Path | None = None) -> list[Path]:
    """Writes ``front.json``, ``front.html`` and ``front.svg`` into ``folder`` (the run's own); returns their paths."""
    folder = folder or run.path
    contents = {
        "front.json": json.dumps(front_document(run), indent=1) + "\n",
        "front.html": front_html(run),
        "front.svg": front_svg(run),
    }
    return [atomic_write(folder / name, content) for name, content in contents.items()]
