from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.nas.cli.conftest import Ended

Nas = Callable[..., Ended]


def test_targets(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("targets", "--json").document["targets"]}
    chip = rows["stm32l4r9"]
    assert (chip["clock_hz"], chip["sram_bytes"], chip["flash_bytes"]) == (120_000_000, 632 * 1024, 2046 * 1024)
    assert chip["kinds"]["sram_bytes"] == "exact"
    assert rows["esp32s2"]["kinds"]["sram_bytes"] != "exact"


def test_spaces(nas: Nas) -> None:
    (space,) = nas("spaces", "--json").document["spaces"]
    assert space["name"] == "ds_cnn"
    assert space["networks"] == ["cifar-lite", "mlperf-kws-dscnn"]
    product = 1
    for values in space["choices"].values():
        product *= len(values)
    assert space["size"] == product


def test_networks_have_the_published_counts(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("networks", "--json").document["networks"]}
    assert rows["mlperf-kws-dscnn"]["macs"] == 2_656_768
    assert rows["mlperf-ic-resnet8"]["macs"] == 12_501_632
    assert all(row["kinds"] == {"params": "exact", "macs": "exact"} for row in rows.values())


def test_tasks_tell_whether_data_is_there(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("tasks", "--json", "--data-root", "nowhere").document["tasks"]}
    assert rows["cifar10"]["data"] is None
    assert rows["digits"]["data"]
    assert "missing: run `make data`" in nas("tasks", "--data-root", "nowhere").out


@pytest.mark.parametrize("command", ["targets", "spaces", "networks", "tasks"])
def test_lines_are_plain_where_nobody_looks(nas: Nas, command: str) -> None:
    out = nas(command).out
    assert out.isprintable() or set(filter(lambda c: not c.isprintable(), out)) == {"\n"}
