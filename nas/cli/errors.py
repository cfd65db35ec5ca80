"""What each way to fail looks like: one sentence on standard error and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

import typer

from search_spaces.errors import NasError

OK = 0
NO = 1
"""The command ran and the answer is no: outputs differ, a tool is missing, or no network is accurate enough."""
BAD_INPUT = 2
FAULT = 70
"""A fault of this program (EX_SOFTWARE of sysexits.h), which no exit code of a command means."""
INTERRUPTED = 130
"""128 + SIGINT, as shells count."""
READER_GONE = 141
"""128 + SIGPIPE: whoever read the output stopped reading."""

_OURS = {"nas", "firmware", "estimators", "search_spaces"}
_NO_SPACE = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}


class Interrupted(Exception):
    """The user stopped a command; the text says what is kept and how to go on."""


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does: what is half-written goes, what can be gone on with is told.

    Only a process's main thread hears signals. Who had SIGTERM ignored wants it ignored.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report(error: BaseException, *, brief: bool) -> int:
    """Prints why a command failed and returns its exit code.

    ``brief`` leaves out the traceback of a fault of ours, for output that programs read.
    """
    sentence, code = _sentence(error)
    if sentence is None:
        if not brief:
            traceback.print_exception(error)
        sentence = f"unexpected {type(error).__name__}: {error}; this is a fault of nas, please report it"
    tell(f"{'interrupted' if code == INTERRUPTED else 'error'}: {_one_line(sentence)}")
    return code


def tell(line: str) -> None:
    """Prints a line on standard error; where that is closed or full there is nobody to tell."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def open_closed_streams() -> None:
    """Gives a process that was started with closed standard streams ones that swallow what is written."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open as long as the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def settle(stream: TextIO) -> None:
    """Writes what a stream still holds, or drops it: Python would try again at its end, and complain."""
    try:
        stream.flush()
    except OSError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Points a standard stream at nothing."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _sentence(error: BaseException) -> tuple[str | None, int]:
    if isinstance(error, Interrupted):
        return str(error), INTERRUPTED
    if isinstance(error, KeyboardInterrupt):
        return "stopped before the end", INTERRUPTED
    if isinstance(error, NasError):
        return str(error), BAD_INPUT
    if isinstance(error, typer.TyperException):
        return error.format_message(), error.exit_code
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _NO_SPACE:
            return f"no space left to write {cause.filename or 'the output'}: {cause.strerror}", BAD_INPUT
    if isinstance(error, OSError) and error.strerror is not None:
        return (f"{error.filename}: " if error.filename is not None else "") + error.strerror, BAD_INPUT
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in _OURS:
        return f"package {error.name!r} is not installed, and this command needs it: run `make install`", BAD_INPUT
    return None, FAULT


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what brought it about: libraries wrap the error of a full disk in their own."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _one_line(text: str) -> str:
    return " ".join(text.split())
