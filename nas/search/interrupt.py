"""Ctrl-C and SIGTERM as an orderly end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """A signal asked for the end. No Exception, so that nothing takes it for a failed training."""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turns the first SIGINT or SIGTERM into Stopped; a second one does what it would have done without this.

    Only a process's main thread hears signals; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        restore()
        raise Stopped(signal.Signals(number).name)

    for kind in before:
        signal.signal(kind, stop)
    try:
        yield
    finally:
        restore()
