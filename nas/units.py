"""Numbers with their units, for people. KB is 1,000 bytes, KiB is 1,024."""

from __future__ import annotations

from collections.abc import Sequence

_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"))


def size(count: float) -> str:
    """Bytes, exact, with KiB beside them from 1 KiB on: ``65,536 B (64.0 KiB)``."""
    text = f"{count:,.0f} B"
    return f"{text} ({count / 1024:,.1f} KiB)" if count >= 1024 else text


def number(count: float) -> str:
    """A count with thousands separated."""
    return f"{count:,.0f}"


def seconds(value: float) -> str:
    """A time with four digits and the prefix that suits it: ``12.34 ms``."""
    return _scaled(value, "s")


def joules(value: float) -> str:
    """An energy with four digits and the prefix that suits it: ``0.52 mJ``."""
    return _scaled(value, "J")


def percent(share: float) -> str:
    """A share of 1 as per cent with two decimals."""
    return f"{100 * share:.2f} %"


def proportion(ratio: float) -> str:
    """How much of a bound something takes, the bound to follow: ``45.3 % of``, from ten times on ``52 times``.

    What is above the bound by less than is shown never looks as if it met it.
    """
    if ratio >= 10:
        return f"{ratio:,.0f} times"
    if 1 < ratio < 1.0005:
        return "a little more than"
    return f"{100 * ratio:.1f} % of"


def extents(shape: Sequence[int]) -> str:
    """Extents as people write them: ``3x3``, ``32x32x16``."""
    return "x".join(map(str, shape))


def quantity(field: str, value: float) -> str:
    """The value of a resource field in the unit that the field's name tells."""
    if field.endswith("bytes"):
        return size(value)
    if field == "seconds":
        return seconds(value)
    if field == "joules":
        return joules(value)
    if field.endswith("accuracy"):
        return percent(value)
    return number(value)


def difference(predicted: float, measured: float) -> str:
    """How far the prediction lies from what was measured, in per cent of what was measured."""
    if measured == predicted:
        return "equal"
    return f"{100 * (predicted - measured) / measured:+.1f} %" if measured else "-"


def _scaled(value: float, unit: str) -> str:
    factor, prefix = next(((f, p) for f, p in _PREFIXES if abs(value) >= f or not value), _PREFIXES[-1])
    return f"{value / factor:.4g} {prefix}{unit}"
