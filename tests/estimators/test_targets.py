from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from estimators import KERNELS, load_target, read_target, target_names
from estimators.kernels import KERNEL_OF, SOURCES, TERMS_OF, sources_of
from estimators.kinds import check_kind
from estimators.targets import FOLDER
from search_spaces import NasError
from search_spaces.ops import OPS, Scale
from tests.conftest import CHECKOUT


def edited(tmp_path: Path, edit: Callable[[str], str]) -> Path:
    """The STM32L4R9's file with its text changed."""
    text = (FOLDER / "stm32l4r9.toml").read_text(encoding="utf-8")
    changed = edit(text)
    assert changed != text, "the edit found nothing"
    path = tmp_path / "stm32l4r9.toml"
    path.write_text(changed, encoding="utf-8")
    return path


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


def test_both_targets_are_listed() -> None:
    assert target_names() == ["esp32s2", "stm32l4r9"]


def test_stm32l4r9() -> None:
    target = load_target("stm32l4r9")
    assert (target.name, target.core.name, target.clock_hz) == ("stm32l4r9", "cortex-m4f", 120_000_000)
    assert "dsp" in target.core.isa
    flash, sram = target.region("flash"), target.region("sram")
    assert (flash.address, flash.end) == (0x0800_0000, 0x0820_0000)
    assert (sram.address, sram.end) == (0x2000_0000, 0x200A_0000)
    assert target.usable_flash_bytes == 2 * 1024**2 - 2048
    assert target.usable_sram_bytes == 640 * 1024 - 8192
    assert target.wait_states is not None
    assert target.wait_states.table[-1] == (120_000_000, 5)
    assert target.power[0].watts == 0.042


def test_esp32s2() -> None:
    target = load_target("esp32s2")
    assert (target.core.name, target.clock_hz) == ("xtensa-lx7", 240_000_000)
    sram = target.region("sram")
    # Static data and code in RAM end at 0x3FFE0000; the caches leave 176 KiB of 192, the system 100 KB of those.
    assert sram.end == 0x3FFE_0000
    assert sram.bytes - 2 * 8192 == 176 * 1024
    assert target.usable_sram_bytes == 100_000
    assert 500_000 < target.usable_flash_bytes < 1024**2
    # 22 mA at 3.3 V and 240 MHz: 0.30 nJ per cycle.
    assert target.power[0].watts / target.clock_hz == pytest.approx(0.30e-9, rel=0.01)


@pytest.mark.parametrize("name", target_names())
def test_every_table_with_numbers_has_a_source(name: str) -> None:
    data = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    unsourced = list(_unsourced("", data, False))
    assert unsourced == []


def _unsourced(path: str, value: Any, sourced: bool) -> Iterator[str]:
    if isinstance(value, dict):
        sourced = sourced or bool(value.get("source"))
        if "kind" in value:
            check_kind(value["kind"])
        for key, item in value.items():
            yield from _unsourced(f"{path}.{key}", item, sourced)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unsourced(f"{path}[{index}]", item, sourced)
    elif isinstance(value, int | float) and not sourced:
        yield path


@pytest.mark.parametrize("name", target_names())
def test_every_kernel_is_priced_by_what_it_counts(name: str) -> None:
    target = load_target(name)
    for kernel in KERNELS:
        assert set(target.cycles.kernels[kernel]) <= set(TERMS_OF[kernel])
        assert any(target.cycles.kernels[kernel].values())
        assert sum(target.code.files[file] for file in sources_of(kernel, target.dsp)) > 0


def test_every_operation_but_scale_has_a_kernel() -> None:
    assert set(KERNEL_OF) == set(OPS.values()) - {Scale}
    assert set(KERNEL_OF.values()) <= set(KERNELS) == set(TERMS_OF)


def test_every_file_of_a_kernel_is_there_and_counted() -> None:
    folder = CHECKOUT / "firmware" / "kernels"
    kernels = {path.name for path in folder.glob("*.c") if not path.name.startswith("frontend")}
    assert set(SOURCES) == kernels


def test_targets_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_target("stm32l4r9").name = "other"


def test_a_target_is_read_once() -> None:
    assert load_target("stm32l4r9") is load_target("stm32l4r9")
    assert hash(load_target("stm32l4r9")) == hash(read_target(FOLDER / "stm32l4r9.toml"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stm32l4r5", "target 'stm32l4r5' is unknown; did you mean 'stm32l4r9'? known are esp32s2, stm32l4r9"),
        ("pdp11", "target 'pdp11' is unknown; known are esp32s2, stm32l4r9"),
        ("../targets/esp32s2", "target '../targets/esp32s2' is unknown"),
    ],
)
def test_unknown_target(name: str, message: str) -> None:
    with pytest.raises(NasError, match=re.escape(message)):
        load_target(name)


def test_unknown_region() -> None:
    with pytest.raises(NasError, match="target 'esp32s2' has no memory region 'ram'; did you mean 'sram'"):
        load_target("esp32s2").region("ram")


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (replaced("hz = 120_000_000", "hertz = 120_000_000"), "key clock.hz is missing"),
        (replaced("watts = 0.042", "watts = 0.042\nvolts = 3.3"), "key power.0.volts is unknown"),
        (replaced('hz = 120_000_000\nsource = "', 'hz = 120_000_000\nkind = "'), "key clock.source is missing"),
        (lambda text: re.sub(r'(hz = 120_000_000\nsource = )".*"', r'\1""', text), "key clock.source is ''"),
        (replaced("hz = 120_000_000", 'hz = "120 MHz"'), "key clock.hz is '120 MHz': input should be a valid integer"),
        (replaced("hz = 120_000_000", "hz = 0"), "key clock.hz is 0: input should be greater than 0"),
        (replaced("watts = 0.042", "watts = nan"), "key power.0.watts is nan: input should be a finite number"),
        (replaced("bytes = 2_097_152", "bytes = 2_097_152.5"), "key memory.0.bytes is 2097152.5"),
        (replaced('kind = "measured"', 'kind = "guessed"'), "key memory.0.reserved.0.kind: kind 'guessed' is unknown"),
        (replaced('role = "sram"', 'role = "ram"'), "key memory.1.role is 'ram': input should be 'flash', 'sram'"),
        (
            replaced("address = 0x2000_0000", "address = 0x081F_FFFF"),
            "memory regions 'flash' and 'sram' overlap: flash ends at 0x08200000, sram starts at 0x081fffff",
        ),
        (replaced('role = "sram"', 'role = "heap"'), "memory needs a region of role 'flash' and one of role 'sram'"),
        (
            replaced(
                "bytes = 8_192",
                "bytes = 655_361",
            ),
            "key memory.1: region 'sram' has 655360 bytes; 655361 are reserved",
        ),
        (lambda text: re.sub(r"lookup_s8 = \{.*", "", text), "cycles.kernels lacks kernel 'lookup_s8'"),
        (
            lambda text: re.sub(r"lookup_s8 = \{.*", "lookup_s8 = { macs = 1.0 }", text),
            "key cycles: lookup_s8 counts no macs; it counts outputs, calls",
        ),
        (replaced("lookup_s8 = {", "look_up_s8 = {"), "key cycles.kernels.look_up_s8"),
        (
            lambda text: re.sub(r'"lookup_s8.c" = .*', "", text),
            "code.files must name exactly the kernels' files; 'lookup_s8.c' is missing or too much",
        ),
        (
            replaced('"lookup_s8.c" =', '"look_up_s8.c" = 1\n"lookup_s8.c" ='),
            "code.files must name exactly the kernels' files; 'look_up_s8.c' is missing or too much",
        ),
        (replaced('name = "stm32l4r9"', 'name = "stm32l4r5"'), "name is 'stm32l4r5'; the file's name says 'stm32l4r9'"),
        (replaced("[clock]", "[clock"), "is no TOML"),
    ],
)
def test_wrong_files_are_refused_with_file_and_key(tmp_path: Path, edit: Callable[[str], str], complaint: str) -> None:
    path = edited(tmp_path, edit)
    with pytest.raises(NasError) as caught:
        read_target(path)
    assert str(path) in str(caught.value)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="cannot be read: No such file"):
        read_target(tmp_path / "stm32l4r9.toml")


@pytest.mark.parametrize("name", target_names())
def test_all_kernels_together_stay_small(name: str) -> None:
    """No network of any space takes more code for its kernels than all of them do."""
    assert sum(load_target(name).code.files.values()) <= 24_000
