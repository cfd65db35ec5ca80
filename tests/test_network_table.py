"""docs/networks.md is what scripts/network_table.py writes, and the script judges figures rightly."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from search_spaces import network_names
from search_spaces.counting import Counts
from search_spaces.published import Claims


@pytest.fixture(scope="module")
def script(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("network_table", checkout / "scripts" / "network_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(checkout: Path) -> None:
    command = [sys.executable, "scripts/network_table.py", "--check"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_network_has_a_row(script: ModuleType) -> None:
    text = script.page()
    assert all(f"\n| {name} | " in text for name in network_names())
    assert "| tinyspeech-x | 49x10x1 | 10,800 | 10,900,000 | tinyspeech | 10,923 | 10,886,136 |" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in lines} == {3, 4, 11}  # two, three and ten columns


def test_a_stale_page_is_found_and_mended(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "docs" / "networks.md"
    monkeypatch.setattr(script, "PAGE", page)
    assert script.main(["--check"]) == 1
    assert not page.exists()
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    page.write_text(page.read_text().replace("10,923", "10,800"))
    assert script.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (Claims(params=2_700, macs=2_600_000), "reproduced (params +0.4 %, MACs +0.3 %)."),
        (Claims(params=2_712), "reproduced (params exactly)."),
        (Claims(params=4_846, note="Nobody knows."), "**not reproduced** (params -44.0 %). Nobody knows."),
        (Claims(macs=2_500_000, source="somebody"), "**not reproduced** (MACs +4.3 %). Figures of somebody."),
    ],
)
def test_remarks(script: ModuleType, claims: Claims, expected: str) -> None:
    assert script.remark(claims, Counts(2_712, 2_608_524)) == expected


def test_claims_need_a_known_way_to_count() -> None:
    with pytest.raises(ValueError, match="counting mode 'flops' is unknown"):
        Claims(params=1, counting="flops")
