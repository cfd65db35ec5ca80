"""Texts of drawings: how wide they are at most, how they are cut to fit, and which characters XML takes."""

from __future__ import annotations

import re

_NARROW = frozenset(" .,:;'|!ijlftrI()[]/\\-")
_BROAD = frozenset("#&+<=>^~×·±")
_WIDE = frozenset("mwMW@%")
_NO_XML = re.compile("[^\t\n\r -~\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

ELLIPSIS = "…"


def text_width(text: str, size: float, bold: bool = False) -> float:
    """An upper estimate of a text's width in a sans-serif font of ``size`` pixels.

    The widths are those of DejaVu Sans, the widest of the usual system fonts, rounded up by groups of letters.
    """
    return sum(map(_width, text)) * size * (1.15 if bold else 1)


def fitted(text: str, size: float, room: float, bold: bool = False) -> str:
    """``text`` as it is where it fits into ``room`` pixels, else its beginning and an ellipsis; empty without room."""
    if text_width(text, size, bold) <= room:
        return text
    for end in range(len(text) - 1, 0, -1):
        short = text[:end].rstrip() + ELLIPSIS
        if text_width(short, size, bold) <= room:
            return short
    return ""


def printable(text: str) -> str:
    """``text`` on one line, with a replacement character for each one that XML cannot hold."""
    return re.sub(r"\s+", " ", _NO_XML.sub("\ufffd", text))


def _width(character: str) -> float:
    """In units of the font's size."""
    if character in _NARROW:
        return 0.43
    if character in _BROAD or ("A" <= character <= "Z" and character not in _WIDE):
        return 0.84
    if character in _WIDE or not character.isascii():
        return 1.02 if character <= "\uffff" else 1.4
    return 0.65
