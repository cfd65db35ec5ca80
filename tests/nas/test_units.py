from __future__ import annotations

import pytest

from nas import units


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("sram_bytes", 0, "0 B"),
        ("sram_bytes", 1000, "1,000 B"),
        ("flash_bytes", 1024, "1,024 B (1.0 KiB)"),
        ("weights_bytes", 2_097_152, "2,097,152 B (2,048.0 KiB)"),
        ("macs", 2_656_768, "2,656,768"),
        ("seconds", 0.0, "0 s"),
        ("seconds", 1.5, "1.5 s"),
        ("seconds", 0.0123456, "12.35 ms"),
        ("seconds", 9.87654e-7, "987.7 ns"),
        ("seconds", 1e-12, "0.001 ns"),
        ("joules", 0.000526, "526 uJ"),
        ("val_accuracy", 0.98765, "98.77 %"),
    ],
)
def test_quantity(field: str, value: float, text: str) -> None:
    assert units.quantity(field, value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0.4531, "45.3 % of"),
        (1, "100.0 % of"),
        (1 + 1e-9, "a little more than"),
        (1.0006, "100.1 % of"),
        (9.99, "999.0 % of"),
        (52.4, "52 times"),
        (524_288, "524,288 times"),
    ],
)
def test_proportion(ratio: float, text: str) -> None:
    assert units.proportion(ratio) == text


def test_extents() -> None:
    assert units.extents((49, 10, 1)) == "49x10x1"


@pytest.mark.parametrize(
    ("predicted", "measured", "text"),
    [(100, 100, "equal"), (110, 100, "+10.0 %"), (50, 100, "-50.0 %"), (1, 0, "-")],
)
def test_difference(predicted: float, measured: float, text: str) -> None:
    assert units.difference(predicted, measured) == text
