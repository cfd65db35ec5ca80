from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.report.text import fitted, printable, text_width

# Advance widths of DejaVu Sans and DejaVu Sans Bold, in units of the font's size.
DEJAVU = {
    "m": (0.974, 1.042),
    "W": (0.989, 1.103),
    "O": (0.787, 0.850),
    "n": (0.634, 0.712),
    "0": (0.636, 0.696),
    "r": (0.411, 0.493),
    "t": (0.392, 0.478),
    "i": (0.278, 0.343),
    " ": (0.318, 0.348),
    ",": (0.318, 0.380),
    "×": (0.838, 0.838),
    "%": (0.950, 1.002),
    "…": (1.000, 1.000),
}


@pytest.mark.parametrize("letter", DEJAVU)
def test_widths_are_upper_estimates(letter: str) -> None:
    plain, bold = DEJAVU[letter]
    assert plain <= text_width(letter, 1) <= plain + 0.16
    assert bold <= text_width(letter, 1, bold=True)


def test_width_grows_with_size() -> None:
    assert text_width("Conv2D", 20) == pytest.approx(2 * text_width("Conv2D", 10))


@given(st.text(max_size=40), st.floats(0, 200), st.booleans())
def test_fitted_text_fits_and_begins_the_same(text: str, room: float, bold: bool) -> None:
    short = fitted(text, 11, room, bold)
    assert text_width(short, 11, bold) <= room
    assert text.startswith(short.removesuffix("…"))
    assert short == text or text_width(text, 11, bold) > room


def test_fitted() -> None:
    assert fitted("depthwise12", 10, 100) == "depthwise12"
    assert fitted("depthwise12", 10, 50) == "depth…"
    assert fitted("depthwise12", 10, 5) == ""


@given(st.text(st.characters()))
def test_printable_text_is_xml(text: str) -> None:
    element = ElementTree.Element("a")
    element.text = printable(text)
    assert ElementTree.fromstring(ElementTree.tostring(element, "utf-8")).text == (printable(text) or None)
    assert "\n" not in printable(text)


def test_printable() -> None:
    assert printable("a\tb\nc") == "a b c"
    assert printable("a\0\ud800\uffffb") == "a\ufffd\ufffd\ufffdb"
