"""What the README shows works: its Python runs, its commands and options exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")

COMMANDS = [
    shlex.split(line.partition("#")[0])
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("nas ")
]


@cache
def help_of(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nas", command, "--help"], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    return done.stdout


def test_there_are_commands() -> None:
    assert {words[1] for words in COMMANDS} >= {"search", "front", "export", "validate"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_and_their_options_exist(words: list[str]) -> None:
    options = {word for word in words[2:] if word.startswith("-")}
    assert options <= set(re.findall(r"--?[a-z-]+", help_of(words[1])))


def test_the_python_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert "trials=20" in example
    code = example.replace("trials=20", "trials=1")
    # In a process of its own, because searches start worker processes that import the main module anew.
    script = tmp_path / "example.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("True ")


def test_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (CHECKOUT / link).exists()] == []
