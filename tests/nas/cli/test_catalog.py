from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from nas.cli import catalog
from search_spaces import network, network_names, published_network, space_names
from search_spaces.counting import COUNTINGS
from tests.nas.cli.conftest import Ended, assert_one_sentence

Nas = Callable[..., Ended]


def test_targets(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("targets", "--json").document["targets"]}
    chip = rows["stm32l4r9"]
    assert (chip["clock_hz"], chip["sram_bytes"], chip["flash_bytes"]) == (120_000_000, 632 * 1024, 2046 * 1024)
    assert chip["kinds"]["sram_bytes"] == "exact"
    assert rows["esp32s2"]["kinds"]["sram_bytes"] != "exact"


def test_spaces(nas: Nas) -> None:
    rows = nas("spaces", "--json").document["spaces"]
    assert [row["name"] for row in rows] == space_names()
    for row in rows:
        assert row["size"] == math.prod(len(values) for values in row["choices"].values())
        assert row["log10_size"] == pytest.approx(math.log10(row["size"]), abs=0.01)
        assert row["networks"], row["name"]
        points = {point["name"]: point for point in row["networks"]}
        assert row["counted_for"]["input_shape"] in [point["input_shape"] for point in points.values()]
        for name, point in points.items():
            graph = network(name)
            assert (point["params"], point["macs"]) == (graph.params, graph.macs)
    by_name = {row["name"]: row for row in rows}
    assert {"cifar-lite", "mlperf-kws-dscnn"} <= {point["name"] for point in by_name["ds_cnn"]["networks"]}
    assert by_name["ds_cnn"]["choices"]["stem_kernel"] == ["3x3", "5x5", "10x4"]


def test_spaces_as_lines(nas: Nas) -> None:
    lines = nas("spaces").out.splitlines()
    for name in space_names():
        (at,) = (i for i, line in enumerate(lines) if line.startswith(f"{name}: "))
        assert " choices, 10^" in lines[at + 1]
        assert "(for inputs of " in lines[at + 1]
    (line,) = (line for line in lines if line.startswith("  cifar-lite"))
    assert line.split() == ["cifar-lite", "32x32x3", "156,874", "11,780,288"]


def test_one_space_with_its_choices(nas: Nas) -> None:
    (row,) = nas("spaces", "ds_cnn", "--json").document["spaces"]
    assert row["name"] == "ds_cnn"
    lines = nas("spaces", "ds_cnn").out.splitlines()
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines if line.startswith("  ")}
    assert rows["stem_kernel"] == ["3", "3x3, 5x5, 10x4"]
    assert rows["residual"] == ["2", "no, yes"]
    assert set(row["choices"]) <= set(rows)


def test_an_unknown_space(nas: Nas) -> None:
    ended = nas("spaces", "ds_cn")
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, "search space 'ds_cn' is unknown", "did you mean 'ds_cnn'?")


@pytest.mark.parametrize(
    ("size", "text"), [(1, "1"), (999_999, "999,999"), (1_000_000, "10^6.0"), (3 * 10**40, "10^40.5")]
)
def test_sizes(size: int, text: str) -> None:
    assert catalog._size(size) == text


def test_networks_have_the_published_counts(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("networks", "--json").document["networks"]}
    assert list(rows) == network_names()
    assert rows["mlperf-kws-dscnn"]["macs"] == 2_656_768
    assert rows["mlperf-ic-resnet8"]["macs"] == 12_501_632
    assert all(row["kinds"] == {"params": "exact", "macs": "exact"} for row in rows.values())


def test_networks_stand_beside_what_was_published(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("networks", "--json").document["networks"]}
    for name, row in rows.items():
        for told, claim in zip(row["published"], published_network(name).claims, strict=True):
            assert (told["params"], told["macs"], told["counting"]) == (claim.params, claim.macs, claim.counting)
            counted = COUNTINGS[claim.counting](network(name))
            assert told["counted"] == {"params": counted.params, "macs": counted.macs}
    # TinySpeech's table: 10.8 K parameters and 10.9 M mult-adds for X, counted the paper's way.
    (claim,) = rows["tinyspeech-x"]["published"]
    assert (claim["params"], claim["macs"]) == (10_800, 10_900_000)
    assert round(claim["counted"]["macs"], -5) == 10_900_000
    lines = nas("networks").out.splitlines()
    (line,) = (line for line in lines if line.startswith("tinyspeech-x "))
    assert {"10,800", "10,900,000", "tinyspeech", "attention_condenser"} <= set(line.split())
    assert any(line.startswith("tinyspeech-y: ") for line in lines)  # what cannot be reproduced is said


def test_tasks_tell_whether_data_is_there(nas: Nas) -> None:
    rows = {row["name"]: row for row in nas("tasks", "--json", "--data-root", "nowhere").document["tasks"]}
    assert rows["cifar10"]["data"] is None
    assert rows["digits"]["data"]
    assert "missing: run `make data`" in nas("tasks", "--data-root", "nowhere").out


@pytest.mark.parametrize("command", ["targets", "spaces", "networks", "tasks"])
def test_lines_are_plain_where_nobody_looks(nas: Nas, command: str) -> None:
    out = nas(command).out
    assert out.isprintable() or set(filter(lambda c: not c.isprintable(), out)) == {"\n"}
