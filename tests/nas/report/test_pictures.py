"""The page and the picture: what stands where, that they need no network, and that text stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from nas.report import write_report
from nas.report.page import figure, front_html
from nas.report.picture import Axis, front_svg
from nas.search.config import SearchConfig
from nas.search.run import Run
from tests.nas.report.runs import make_run

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("report") / "run")


class Page(HTMLParser):
    """Tags with their attributes, and the text outside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.text += f"{data} "


def test_the_page_needs_nothing_else(run: Run) -> None:
    page = Page()
    page.feed(front_html(run))
    assert not [tag for tag, attributes in page.tags if {"src", "href", "srcset", "data"} & set(attributes)]
    assert "link" not in {tag for tag, _ in page.tags}
    text = " ".join(page.text.split())
    assert "digits on stm32l4r9" in text
    assert "budget MACs ≤ 200 k, latency ≤ 10 ms, accuracy ≥ 70.00 %" in text
    assert "36 of 60 draws (60.00 %) violate the budget and were never trained" in text
    assert "97.00 % 95.00 % 4 ms" in text
    assert "latency estimate (unverified)" in text
    assert "test measured (integer model, whole test split, once)" in text
    assert "Hollow marks" in text


def test_figure(run: Run) -> None:
    data = json.loads(figure(run).to_json())["data"]
    by_name = {trace.get("name", "line"): trace for trace in data}
    assert by_name["on the front"]["x"] == [1.0, 2.0, 4.0]
    assert by_name["on the front"]["y"] == pytest.approx([80.0, 90.0, 97.0])
    assert by_name["trained"]["x"] == [3.0, 0.5]
    assert by_name["trained"]["marker"]["symbol"] == ["circle", "circle-open"]
    assert by_name["line"]["line"]["shape"] == "hv"
    ticks = [trace for trace in data if trace.get("legendgroup") == "rejected"]
    assert [set(trace["y"]) for trace in ticks] == [{"MACs"}, {"latency"}]
    assert [len(trace["x"]) for trace in ticks] == [6, 3]
    hover = by_name["on the front"]["customdata"][2]
    assert "<b>candidate 3</b>, promoted" in hover
    assert "width=3 · residual=False" in hover
    assert "val 97.00 %" in hover
    over = ticks[1]["customdata"][0]
    assert "MACs 100% over its bound" in over
    assert "latency 110% over its bound" in over


def test_picture(run: Run) -> None:
    root = ElementTree.fromstring(front_svg(run))
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    circles = root.findall(f".//{SVG}circle")
    assert len(circles) == 5
    assert sum(circle.attrib.get("fill") == "none" for circle in circles) == 1
    assert all(0 < float(one.attrib["cx"]) < width and 0 < float(one.attrib["cy"]) < height for one in circles)
    front = [one for one in circles if one.attrib["r"] == "5.5"]
    across = [float(one.attrib["cx"]) for one in front]
    up = [float(one.attrib["cy"]) for one in front]
    assert across == sorted(across)
    assert up == sorted(up, reverse=True)
    # Logarithmic: 1, 2 and 4 ms are equally far apart.
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert {"budget", "MACs 50%", "latency 40%", "latency in ms, estimate (unverified)"} <= set(texts)
    assert "5 trained; 36 of 60 draws (60.00 %) violate the budget and were never trained" in texts


def test_colours_read_on_light_and_dark_pages(run: Run) -> None:
    """WCAG's contrast of 3 for graphics, against white and against GitHub's dark background."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    colours = set(re.findall(r"#[0-9a-f]{6}", front_svg(run)))
    assert len(colours) >= 3
    for colour in colours:
        assert contrast(colour, "#ffffff") >= 3, colour
        assert contrast(colour, "#0d1117") >= 3, colour


def test_axes() -> None:
    log = Axis(0.8, 60, 0, 100, log=True)
    assert log.ticks == [1, 2, 5, 10, 20, 50]
    assert (log.at(0.8), log.at(60)) == (0, 100)
    flat = Axis(91.3, 97.9, 340, 0)
    assert flat.ticks == [92, 93, 94, 95, 96, 97]
    assert flat.at(91.3) == 340
    assert Axis(99.1, 99.6, 0, 1).ticks == pytest.approx([99.1, 99.2, 99.3, 99.4, 99.5, 99.6])


def test_a_run_without_candidates(tmp_path: Path) -> None:
    with Run.claim(tmp_path / "run", SearchConfig.of(task="digits")) as empty:
        assert {path.name for path in write_report(empty)} == {"front.json", "front.html", "front.svg"}
        ElementTree.fromstring((tmp_path / "run/front.svg").read_text())


def test_other_folder(run: Run, tmp_path: Path) -> None:
    paths = write_report(run, tmp_path)
    assert [path.parent for path in paths] == [tmp_path] * 3
    assert json.loads(paths[0].read_text())["trained"] == 5
