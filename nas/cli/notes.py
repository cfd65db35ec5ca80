"""What libraries of this package log, told on standard error while a command runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from nas.cli.errors import tell


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


@contextmanager
def notes_told(quiet: bool) -> Iterator[None]:
    """Warnings are told always, what is only going on (INFO) unless that was declined."""
    logger = logging.getLogger("nas")
    before, handler = logger.level, _Teller()
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
