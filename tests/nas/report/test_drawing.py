"""The picture: well-formed, everything inside, boxes and texts apart, edges from box to box, readable on both pages."""

from __future__ import annotations

import json
import re
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

import nas
from nas.report import drawing
from nas.report.operations import Anatomy, take_apart
from nas.report.text import text_width
from search_spaces import FrontEnd, Graph, GraphBuilder, NasError, network_names
from tests.nas.report.test_operations import condenser
from tests.strategies import graphs

TARGET = "stm32l4r9"
SVG = "{http://www.w3.org/2000/svg}"
ROOT_SIZE = 12.5


class Rectangle(NamedTuple):
    """Left, upper, right and lower edge."""

    x: float
    y: float
    right: float
    bottom: float

    def inside(self, other: Rectangle) -> bool:
        return other.x <= self.x and self.right <= other.right and other.y <= self.y and self.bottom <= other.bottom

    def overlaps(self, other: Rectangle) -> bool:
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom


class Picture:
    """What an SVG holds, as rectangles and points."""

    def __init__(self, text: str) -> None:
        self.root = ElementTree.fromstring(text)
        width, height = (float(self.root.attrib[name]) for name in ("width", "height"))
        assert self.root.attrib["viewBox"] == f"0 0 {width:g} {height:g}"
        self.page = Rectangle(0, 0, width, height)
        rectangles = list(self.root.iter(f"{SVG}rect"))
        self.boxes = [_rectangle(rect) for rect in rectangles if rect.attrib["class"] == "box"]
        self.bars = [_rectangle(rect) for rect in rectangles if rect.attrib["class"] == "bar"]
        self.texts = list(_texts(self.root, "start"))
        self.edges = [
            [tuple(map(float, point.split(","))) for point in re.findall(r"[-\d.]+,[-\d.]+", path.attrib["d"])]
            for path in self.root.iter(f"{SVG}path")
            if path.attrib["class"].startswith("edge")
        ]

    @property
    def words(self) -> list[str]:
        return [text for text, _ in self.texts]


def _rectangle(rect: ElementTree.Element) -> Rectangle:
    x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
    return Rectangle(x, y, x + width, y + height)


def _texts(element: ElementTree.Element, anchor: str) -> list[tuple[str, Rectangle]]:
    """Every text with the room it takes at most, by an upper estimate of its width."""
    anchor = element.attrib.get("text-anchor", anchor)
    if element.tag == f"{SVG}text":
        text = element.text or ""
        size = float(element.attrib.get("font-size", ROOT_SIZE))
        width = text_width(text, size, bold="font-weight" in element.attrib)
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        start = x - width if anchor == "end" else x
        return [(text, Rectangle(start, y - 0.8 * size, start + width, y + 0.25 * size))]
    return [found for child in element for found in _texts(child, anchor)]


def check(picture: Picture, rows: int) -> None:
    """Everything lies inside the page, nothing lies over anything else, every edge goes from box to box."""
    assert len(picture.boxes) == rows
    assert all(part.inside(picture.page) for part in [*picture.boxes, *picture.bars, *(r for _, r in picture.texts)])
    for upper, lower in pairwise(picture.boxes):
        assert not upper.overlaps(lower)
        assert upper.bottom < lower.y
    near = sorted(picture.texts, key=lambda found: found[1].y)
    for i, (text, room) in enumerate(near):
        for other, place in near[i + 1 :]:
            if place.y > room.bottom:
                break
            assert not room.overlaps(place), (text, other)
    for text, room in picture.texts:
        for box in picture.boxes:
            assert room.inside(box) or not room.overlaps(box), text
    for points in picture.edges:
        assert all(0 <= x <= picture.page.right and 0 <= y <= picture.page.bottom for x, y in points)
        assert sum(any(_on_border(point, box) for box in picture.boxes) for point in (points[0], points[-1])) == 2
        for (x, y), (u, v) in pairwise(points):
            part = Rectangle(min(x, u), min(y, v), max(x, u), max(y, v))
            assert not any(part.overlaps(box) for box in picture.boxes)


def _on_border(point: tuple[float, ...], box: Rectangle) -> bool:
    x, y = point
    left = x == box.x and box.y < y < box.bottom
    return left or (box.x < x < box.right and y in (box.y, box.bottom))


@cache
def anatomy(name: str, target: str | None = None) -> Anatomy:
    return take_apart(name, target)


@pytest.mark.parametrize("target", [None, TARGET])
@pytest.mark.parametrize("name", network_names())
def test_published_networks(name: str, target: str | None) -> None:
    found = anatomy(name, target)
    picture = Picture(drawing.svg(found))
    check(picture, len(found.graph.ops) + 1)
    for box, row in zip(picture.boxes, found.rows, strict=True):
        inside = {text for text, room in picture.texts if room.inside(box)}
        assert {row.name, drawing.typeset(row.heading), drawing.typeset("x".join(map(str, row.shape)))} <= inside
    assert {f"{found.graph.macs:,}", f"{found.graph.params:,}", f"{found.weights_bytes:,}"} <= set(picture.words)


@given(graphs(max_ops=12))
@settings(max_examples=40)
def test_random_networks(graph: Graph) -> None:
    picture = Picture(drawing.svg(take_apart(graph)))
    check(picture, len(graph.ops) + 1)
    assert len(picture.edges) == sum(len(set(op.inputs)) for op in graph.ops)


def test_names_that_no_page_expects() -> None:
    """Tensors and networks may be called anything in a file."""
    odd = '<&"\0\ud800\n' + "long " * 60
    row = {"op": "Conv2D", "inputs": ["input"], "output": odd, "kernel": [1, 1], "filters": 2}
    again = {"op": "Add", "inputs": [odd, "input"], "output": odd[::-1]}
    graph = Graph.from_json({"name": odd, "input_shape": [3, 3, 2], "ops": [row, again]})
    found = take_apart(graph, TARGET)
    check(Picture(drawing.svg(found)), 3)
    page = drawing.html(found).encode()
    assert b"<&" not in page
    assert b"\0" not in page


def test_the_plan_is_shown() -> None:
    found = take_apart(condenser(), TARGET)
    picture = Picture(drawing.svg(found))
    add = next(row.name for row in found.rows if row.kind == "Add")
    assert f"from 3×4 · fused into {add}" in picture.words
    assert "free: its input's bytes" in picture.words
    assert {"cycles", "arena bytes"} <= set(picture.words)
    assert found.resources is not None
    assert f"{found.resources.cycles:,}" in picture.words
    dashed = [group for group in picture.root.iter(f"{SVG}g") if "free" in group.attrib.get("class", "")]
    assert len(dashed) == 2
    assert any("cycles fitted (± " in text for text in picture.words)
    without = Picture(drawing.svg(take_apart(condenser())))
    assert not {"cycles", "arena bytes", "free: its input's bytes"} & set(without.words)


def test_bars_are_shares() -> None:
    picture = Picture(drawing.svg(anatomy("mlperf-ic-resnet8")))
    macs = next(room.right for text, room in picture.texts if text == "MACs")
    bars = {bar.right: [] for bar in picture.bars}
    for bar in picture.bars:
        bars[bar.right].append(bar.right - bar.x)
    (column,) = (lengths for right, lengths in bars.items() if abs(right - macs) < 0.01)
    most = max(column)
    assert column[0] / most == pytest.approx(442_368 / 2_359_296, abs=0.01)


def test_a_front_end_is_the_first_box() -> None:
    front = FrontEnd()
    builder = GraphBuilder(front.shape, front)
    builder.dense(builder.conv(builder.input, 4, 3), 2)
    picture = Picture(drawing.svg(take_apart(builder.build("sound"))))
    check(picture, 3)
    words = picture.words
    assert {"MFCC front end", "window 512 · hop 320 · 40 mel bands", "49×10×1"} <= set(words)
    assert "front end mfcc10-40mel-w512-h320: 16 kHz, 16,000 samples, 20 to 7,600 Hz" in words


def _schemes() -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """The style's colours by selector: the light page's, and the dark one's."""
    style = next(Picture(drawing.svg(anatomy("cifar-lite"))).root.iter(f"{SVG}style")).text or ""
    light, _, dark = style.partition("@media (prefers-color-scheme: dark)")

    def colours(text: str) -> dict[str, dict[str, str]]:
        rules = re.findall(r"\.network ([.\w ]+?) \{([^}]*)\}", text)
        return {selector: dict(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", body)) for selector, body in rules}

    return colours(light), colours(dark)


def _contrast(one: str, other: str) -> float:
    """As WCAG defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_read_well(scheme: int) -> None:
    colours = _schemes()[scheme]
    page = colours[".page"]["fill"]
    boxes = [found["fill"] for selector, found in colours.items() if selector.endswith(".box") and "fill" in found]
    assert len(boxes) == len({*drawing.FAMILIES.values(), "other"})
    for text in ("text", ".muted"):
        for ground in (page, *boxes):
            assert _contrast(colours[text]["fill"], ground) >= 4.5, (text, ground)
    lines = [found["stroke"] for selector, found in colours.items() if selector.startswith(".edge.")]
    assert len(lines) == drawing.LANE_COLOURS + 1
    assert all(_contrast(line, page) >= 3 for line in lines)
    assert len(set(lines)) == len(lines)


class Page(HTMLParser):
    """Tags with their attributes, and the cells of every row of the table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._cell &= tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("target", [None, TARGET])
def test_the_page_has_every_operation_and_needs_nothing_else(target: str | None) -> None:
    found = anatomy("mlperf-kws-dscnn", target)
    page = Page(drawing.html(found))
    used = {name for _, attributes in page.tags for name in attributes}
    assert not {"src", "href", "srcset", "data", "xlink:href"} & used
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import", drawing.html(found))
    head, *body, foot = page.rows
    assert len(body) == len(found.graph.ops) + 1
    assert all(len(row) == len(head) for row in [*body, foot])
    stem = dict(zip(head, body[1], strict=True))
    assert stem["operation"] == "Conv2D 10×4"
    assert (stem["reads"], stem["writes"], stem["shape (HWC)"]) == ("input", "conv0", "25×5×64")
    assert (stem["stride"], stem["padding"], stem["fused"]) == ("2×2", "same", "ReLU")
    assert (stem["MACs"], stem["weight bytes"]) == ("320,000", "2,560")
    assert ("cycles" in stem) is (target is not None)
    assert dict(zip(head, foot, strict=True))["MACs"] == "2,656,768"


def test_files(tmp_path: Path) -> None:
    svg = nas.draw("mlperf-ic-resnet8", tmp_path / "net.svg", TARGET)
    html = nas.draw("mlperf-ic-resnet8", str(tmp_path / "NET.HTML"))
    assert svg == tmp_path / "net.svg"
    assert svg.read_text() == drawing.svg(anatomy("mlperf-ic-resnet8", TARGET))
    assert html.read_text() == drawing.html(anatomy("mlperf-ic-resnet8"))
    for name in ("net.png", "net"):
        with pytest.raises(NasError, match=r"has the suffix .*; \.svg or \.html expected"):
            nas.draw("mlperf-ic-resnet8", tmp_path / name)
    with pytest.raises(NasError, match="could not be written"):
        nas.draw("mlperf-ic-resnet8", tmp_path / "nowhere" / "net.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NET.HTML", "net.svg"]


def test_equal_networks_have_equal_pictures() -> None:
    first = drawing.svg(take_apart("cifar-lite", TARGET))
    assert first == drawing.svg(take_apart(Graph.from_json(json.loads(json.dumps(_json("cifar-lite")))), TARGET))


def _json(name: str) -> dict[str, object]:
    return anatomy(name).graph.to_json()
