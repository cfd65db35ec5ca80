"""What a search tells while it runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from nas.search.jobs import Tick
from nas.search.records import Record, Training
from nas.units import percent, quantity


class Progress:
    """Hears of everything and says nothing; the base of those who do. A search closes it by leaving its context."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def say(self, text: str) -> None:
        """Something worth a line."""

    def stage(self, title: str, done: int, total: int) -> None:
        """A part of the work begins; ``done`` of its ``total`` trainings are finished already."""

    def tick(self, tick: Tick) -> None:
        """A training has come further."""

    def ended(self, record: Record, training: Training | None, why: str | None) -> None:
        """A training has ended, without result for the reason ``why``."""


class Lines(Progress):
    """Plain lines, for logs and pipes: one per finished training."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._done = self._total = 0

    def say(self, text: str) -> None:
        self._write(text)

    def stage(self, title: str, done: int, total: int) -> None:
        self._done, self._total = done, total
        if done < total:
            self._write(f"{title}: {total - done} of {total} trainings to go")

    def ended(self, record: Record, training: Training | None, why: str | None) -> None:
        self._done += training is not None
        self._write(f"[{self._done}/{self._total}] {summary_line(record, training, why)}")


class Terminal(Lines):
    """The same lines on a terminal, above bars for the whole stage and for every training under way."""

    def __init__(self, stream: TextIO) -> None:
        console = Console(file=stream)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._all: TaskID | None = None
        self._single: dict[tuple[int, str], TaskID] = {}
        super().__init__(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, title: str, done: int, total: int) -> None:
        super().stage(title, done, total)
        if self._all is not None:
            self._bars.remove_task(self._all)
        self._all = self._bars.add_task(title, total=total, completed=done, note="")

    def tick(self, tick: Tick) -> None:
        key = (tick.number, tick.stage)
        if key not in self._single:
            self._single[key] = self._bars.add_task(f"  candidate {tick.number}", total=tick.total, note="")
        self._bars.update(self._single[key], completed=tick.done, total=tick.total, note=tick.note)

    def ended(self, record: Record, training: Training | None, why: str | None) -> None:
        super().ended(record, training, why)
        for key in [key for key in self._single if key[0] == record.number]:
            self._bars.remove_task(self._single.pop(key))
        if self._all is not None:
            self._bars.update(self._all, completed=self._done)


def progress_on(stream: TextIO = sys.stderr, quiet: bool = False) -> Progress:
    """Bars on a terminal, plain lines elsewhere, nothing when ``quiet``."""
    if quiet:
        return Progress()
    if stream.isatty():
        return Terminal(stream)
    return Lines(lambda text: print(text, file=stream, flush=True))


def summary_line(record: Record, training: Training | None, why: str | None) -> str:
    """One line for an ended training."""
    if training is None:
        return f"candidate {record.number} failed: {why}"
    costs = ", ".join(
        f"{quantity(name, record.resources[name])} {title}"
        for name, title in (("seconds", "latency"), ("sram_bytes", "SRAM"), ("flash_bytes", "flash"))
    )
    return f"candidate {record.number}: {percent(training.val_accuracy)} val, {costs} ({training.train_seconds:.1f} s)"
