from __future__ import annotations

import logging

import pytest

from nas.cli.notes import notes_told


@pytest.mark.parametrize(("quiet", "told"), [(False, ["going on 1", "beware"]), (True, ["beware"])])
def test_what_is_told(capsys: pytest.CaptureFixture[str], quiet: bool, told: list[str]) -> None:
    log = logging.getLogger("nas.somewhere")
    with notes_told(quiet):
        log.debug("detail")
        log.info("going on %d", 1)
        log.warning("beware")
    log.info("after it")
    assert capsys.readouterr().err.splitlines() == told


def test_nothing_stays(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("nas")
    before = (logger.level, list(logger.handlers))
    with notes_told(False):
        assert len(logger.handlers) == len(before[1]) + 1
    assert (logger.level, logger.handlers) == before
