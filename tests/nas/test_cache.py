from __future__ import annotations

from pathlib import Path

import pytest

from nas.cache import cache_folder


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE", "/explicit")
    assert cache_folder() == Path("/explicit")
    monkeypatch.delenv("NAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/mcu-nas")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mcu-nas"
