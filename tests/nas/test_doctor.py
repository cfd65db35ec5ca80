from __future__ import annotations

from pathlib import Path

import pytest

from nas import doctor
from search_spaces.errors import NasError


def found(data: Path | None = None) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor.examine(data)}


def missing(*_: object) -> None:
    raise NasError("it is not there")


def test_everything_is_looked_at() -> None:
    names = set(found())
    assert {"arm-none-eabi-gcc", "zig cc", "host C compiler", "unicorn", "torch", "optuna", "CUDA"} <= names
    assert {"data set digits", "data set cifar10", "processors", "cache folder", "current folder"} <= names


def test_one_cross_compiler_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Cortex-M4 compiler" not in found()
    monkeypatch.setattr(doctor, "find_arm_compiler", missing)
    findings = found()
    assert findings["arm-none-eabi-gcc"].remedy == "make toolchain"
    assert not findings["arm-none-eabi-gcc"].required
    assert findings["Cortex-M4 compiler"].required
    assert not findings["Cortex-M4 compiler"].ok


def test_what_is_missing_names_what_brings_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "find_host_compiler", missing)
    monkeypatch.setattr(doctor, "_PACKAGES", {"no-such-package": "nothing"})
    monkeypatch.setenv("NAS_DATA", str(tmp_path / "data"))
    findings = found()
    for name in ("host C compiler", "no-such-package", "data set cifar10"):
        assert not findings[name].ok
        assert findings[name].remedy
    assert str(tmp_path / "data") in findings["data set cifar10"].found


def test_folders_are_judged_by_the_nearest_that_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "a" / "b"))
    monkeypatch.chdir(tmp_path)
    findings = found()
    assert str(tmp_path / "a" / "b") in findings["cache folder"].found
    assert findings["cache folder"].ok == findings["current folder"].ok
    monkeypatch.setattr(doctor, "_LOW_SPACE", 1 << 80)
    assert not found()["cache folder"].ok
    assert found()["cache folder"].remedy == "set NAS_CACHE to a folder with room"
    assert not (tmp_path / "a").exists()
