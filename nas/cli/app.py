"""Puts the commands together and runs one of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from nas.cli import catalog, classify, draw, errors, estimate, firmware, machine, notes, search, train

_HELP = (
    "Neural architecture search for microcontrollers: from a task, a chip and a budget to int8 C that has run on the "
    "core, bit for bit what Python predicted."
)
_EPILOG = (
    "Exit codes: 0 done, 1 the answer is no (outputs differ, a tool is missing, no network is good enough), "
    "2 bad input, 130 interrupted."
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"nas {version('mcu-nas')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Nothing to do before a command."""


def build() -> typer.Typer:
    """The application with all its commands."""
    # Boxes and colours only where a person looks at them.
    markup: Literal["rich"] | None = "rich" if sys.stdout.isatty() else None
    app = typer.Typer(
        name="nas",
        help=_HELP,
        epilog=_EPILOG,
        rich_markup_mode=markup,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for module in (search, train, estimate, draw, firmware, classify, catalog, machine):
        for name, command in module.COMMANDS.items():
            app.command(name)(command)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code; never raises."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    errors.open_closed_streams()
    try:
        with errors.termination_interrupts(), notes.notes_told(quiet=bool({"-q", "--quiet"} & set(words))):
            code = _run(words)
        sys.stdout.flush()
    except BrokenPipeError:
        errors.silence(sys.stdout)
        return errors.READER_GONE
    except (Exception, KeyboardInterrupt) as error:
        code = errors.report(error, brief="--json" in words)
        errors.settle(sys.stdout)
    return code


def _run(words: list[str]) -> int:
    try:
        result = build()(args=words or ["--help"], prog_name="nas", standalone_mode=False)
    except SystemExit as stop:  # typer ends so when the reader of a pipe is gone
        raise BrokenPipeError from stop
    if result == errors.INTERRUPTED:  # what typer makes of KeyboardInterrupt
        raise KeyboardInterrupt
    return result if isinstance(result, int) else errors.OK
