from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from search_spaces import FrontEnd, GraphBuilder, network
from tests.conftest import CHECKOUT
from tests.nas.cli.conftest import Ended, assert_one_sentence

Nas = Callable[..., Ended]


def test_picture(nas: Nas, tmp_path: Path) -> None:
    ended = nas("draw", "mlperf-kws-dscnn", "-o", "net.svg")
    assert ended.code == 0
    assert ended.out.startswith("wrote net.svg: 11 operations, input 49×10×1, output 1×1×12, 22,604 parameters")
    root = ElementTree.parse(tmp_path / "net.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert nas("draw", "mlperf-kws-dscnn", "-o", "net.html", "--json").document["file"] == "net.html"
    assert (tmp_path / "net.html").read_text().startswith("<!DOCTYPE html>")


def test_document(nas: Nas) -> None:
    document = nas("draw", "mlperf-kws-dscnn", "--json").document
    assert (document["params"], document["macs"], document["input_shape"]) == (22_604, 2_656_768, [49, 10, 1])
    assert document["kinds"] == {"params": "exact", "macs": "exact", "weights_bytes": "exact"}
    rows = document["operations"]
    assert len(rows) == 11
    assert (rows[0]["kernel"], rows[0]["output_shape"], rows[0]["weights_bytes"]) == ([10, 4], [25, 5, 64], 2_560)
    assert not {"resources", "target", "file"} & set(document)
    assert "cycles" not in rows[0]


def test_document_with_a_target(nas: Nas) -> None:
    document = nas("draw", "mlperf-kws-dscnn", "-t", "stm32l4r9", "--json").document
    assert document["target"] == "stm32l4r9"
    estimate = nas("estimate", "mlperf-kws-dscnn", "-t", "stm32l4r9", "--json").document
    assert document["resources"] == {name: estimate[name] for name in document["resources"]}
    rows = document["operations"]
    assert sum(row["cycles"] for row in rows) == pytest.approx(estimate["cycles"], abs=1)
    assert max(row["live_bytes"] for row in rows) <= estimate["arena_bytes"]


def test_lines(nas: Nas, tmp_path: Path) -> None:
    ended = nas("draw", "mlperf-ic-resnet8")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "mlperf-ic-resnet8"
    assert len(lines) == 3 + 15 + 1
    (line,) = (line for line in lines if line.startswith("Add") and " add3 " in line)
    assert line.split() == ["Add,", "ReLU", "conv0,", "conv2", "add3", "32x32x16", "16,384"]
    assert lines[-1].split() == ["whole", "network", "12,501,632", "77,706", "77,360"]
    assert "cycles" in nas("draw", "mlperf-ic-resnet8", "--target", "esp32s2").out
    assert list(tmp_path.iterdir()) == []


def test_files_are_networks_too(nas: Nas, tmp_path: Path, model_file: Path) -> None:
    front = FrontEnd()
    builder = GraphBuilder(front.shape, front)
    builder.dense(builder.input, 3)
    (tmp_path / "sound.json").write_text(json.dumps(builder.build("sound").to_json()))
    assert nas("draw", "sound.json", "--json").document["frontend"] == front.to_json()
    assert "MFCC front end, window 512, hop 320, 40 mel bands" in nas("draw", "sound.json").out
    assert nas("draw", model_file, "--json").document["network"] == "tiny.int8"


def test_names_that_no_terminal_expects(nas: Nas, tmp_path: Path) -> None:
    text = json.dumps(network("mlperf-ic-resnet8").to_json()).replace('"conv0"', '"\\ud800\\u001b[31m"')
    (tmp_path / "odd.json").write_text(text)
    ended = nas("draw", "odd.json")
    assert ended.code == 0
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["mlperf-ic-resnet8", "-o", "net.png"], ["'net.png'", "'.png'", ".svg or .html expected"]),
        (["mlperf-ic-resnet8", "-o", "net"], ["'net'", ".svg or .html expected"]),
        (["mlperf-ic-resnet8", "-o", "missing/net.svg"], ["missing/net.svg could not be written", "No such file"]),
        (["mlperf-ic", "-o", "net.svg"], ["'mlperf-ic' is unknown", "did you mean 'mlperf-ic-resnet8'?"]),
        (["mlperf-ic-resnet8", "-t", "stm32l4", "-o", "net.svg"], ["target 'stm32l4' is unknown"]),
        (["nothing.json"], ["nothing.json", "No such file"]),
        ([], ["Missing argument", "NETWORK"]),
    ],
)
def test_bad_input(nas: Nas, tmp_path: Path, words: list[str], parts: list[str]) -> None:
    ended = nas("draw", *words)
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, *parts)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_no_network(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"name": "cake", "ops": [{"op": "Bake"}], "eggs": 3}')
    ended = nas("draw", "recipe.json", "-o", "net.svg")
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, "graph file recipe.json: no network is described: input_shape missing; a graph as")
    assert not (tmp_path / "net.svg").exists()


def test_drawing_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import nas\n"
        "nas.draw('cifar-lite', 'net.svg', 'stm32l4r9')\n"
        "assert not {'torch', 'optuna', 'ray', 'tensorflow', 'plotly'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
