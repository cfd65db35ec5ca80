"""What the pages in docs/ show works: their Python runs, their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

DOCS = sorted((CHECKOUT / "docs").glob("*.md"))
ADDING = CHECKOUT / "docs" / "adding-a-space.md"


def files(page: Path) -> dict[str, str]:
    """The Python blocks of a page by the file name in their first line."""
    blocks = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return dict(blocks)


def run(arguments: list[str], folder: Path) -> str:
    """What Python prints in ``folder``, in a process of its own: the registry of this one stays as it is."""
    environment = {"PYTHONPATH": f"{folder}:{CHECKOUT}", "PATH": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A folder with the files of the page about adding a space."""
    for name, code in files(ADDING).items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    return tmp_path


def test_every_block_of_python_is_a_file() -> None:
    text = ADDING.read_text(encoding="utf-8")
    assert list(files(ADDING)) == ["pooled_cnn.py", "use.py", "test_pooled_cnn.py"]
    assert text.count("```python") == 3


def test_the_example_space_registers_draws_builds_lowers_and_estimates(example: Path) -> None:
    lines = run(["use.py"], example).splitlines()
    assert len(lines) == 6
    for line in lines[:5]:
        macs, sram, flash, seconds = map(float, line.split())
        assert min(macs, sram, flash, seconds) > 0
    # Width and kernel of four stages, of which three may be absent, and the dense layer.
    assert lines[5] == f"convolutions and max-pools, then a dense layer {8 * 9**3 * 2**4 * 4}"


def test_the_example_test_passes(example: Path) -> None:
    assert "4 passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_pooled_cnn.py"], example)


def test_the_example_space_is_listed_among_the_others(example: Path) -> None:
    listed = run(["-c", "import pooled_cnn, search_spaces; print(*search_spaces.space_names())"], example).split()
    assert {"pooled_cnn", "ds_cnn", "inverted_residual", "bc_resnet"} <= set(listed)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))]
    assert [link for link in links if link and not link.startswith("http") and not (page.parent / link).exists()] == []
