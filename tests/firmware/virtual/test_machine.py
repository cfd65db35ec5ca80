"""Signals wait for the emulator: an error that one raises inside of a hook could be dropped."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from firmware.virtual.machine import held_signals


class Asked(Exception):
    """What the handler under test raises."""


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def kind(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    kind: signal.Signals = request.param
    before = signal.getsignal(kind)
    yield kind
    signal.signal(kind, before)


def test_a_signal_stops_first_and_is_handled_at_the_end(kind: signal.Signals) -> None:
    def handler(number: int, frame: object) -> None:
        raise Asked(number)

    signal.signal(kind, handler)
    told = []

    def block() -> None:
        with held_signals(lambda: told.append("stop")):
            signal.raise_signal(kind)
            told.append("end of the block")

    with pytest.raises(Asked):
        block()
    assert told == ["stop", "end of the block"]
    assert signal.getsignal(kind) is handler


def test_a_stopped_run_has_no_result_though_its_handler_is_content(kind: signal.Signals) -> None:
    heard = []
    signal.signal(kind, lambda number, frame: heard.append(number))
    with pytest.raises(KeyboardInterrupt), held_signals(lambda: None):
        signal.raise_signal(kind)
    assert heard == [kind]


def test_an_ignored_signal_stays_ignored(kind: signal.Signals) -> None:
    signal.signal(kind, signal.SIG_IGN)
    with held_signals(lambda: pytest.fail("stopped")):
        signal.raise_signal(kind)
    assert signal.getsignal(kind) is signal.SIG_IGN
