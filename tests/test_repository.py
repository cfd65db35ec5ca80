"""What the repository holds: nothing of the machine it was made on, and locks that fit what the project asks for."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Put together here, so that this file does not hold what it looks for.
INDEX_HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("deb", "debian", "org"))]
MACHINE_PATH = re.compile(rb"(?<![\w.~$})-])/(?:work|root|home|Users)/[\w.-]")
LOCKS = ("requirements.lock", "requirements-bootstrap.lock")


def committed_files(checkout: Path) -> Iterator[Path]:
    """Every file that is committed or about to be: untracked ones count unless they are ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=checkout, capture_output=True, check=True).stdout
    for name in listing.decode().split("\0"):
        path = checkout / name
        if name and path.is_file():
            yield path


def locked(path: Path) -> dict[str, tuple[str, int]]:
    """Version and number of hashes by package name."""
    found = {}
    for block in re.split(r"\n(?=[a-z0-9])", path.read_text()):
        name, version = re.match(r"([\w.-]+)==(\S+)", block).groups()  # type: ignore[union-attr]
        found[canonicalize_name(name)] = (version, block.count("--hash=sha256:"))
    return found


def test_no_machine_paths_or_index_hosts(checkout: Path) -> None:
    hosts = re.compile("|".join(re.escape(host) for host in INDEX_HOSTS).encode())
    wrong = []
    for path in committed_files(checkout):
        content = path.read_bytes()
        for pattern in (MACHINE_PATH, hosts):
            wrong += [f"{path.relative_to(checkout)}: {match.group().decode()}" for match in pattern.finditer(content)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cd {}", True),
        ('"{}"', True),
        ("PATH=/usr/bin:{}", True),
        ("https://example.com{}", False),
        ("$HOME{}", False),
        ("..{}", False),
    ],
)
def test_the_path_pattern_itself(text: str, found: bool) -> None:
    for first in ("work", "root", "home", "Users"):
        path = "/".join(["", first, "somebody"])
        assert bool(MACHINE_PATH.search(text.format(path).encode())) is found


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_by_hash_and_name_no_place(lock: str, checkout: Path) -> None:
    assert all(hashes for _, hashes in locked(checkout / lock).values())
    assert not re.search(r"^\s*(--?(index|extra|find|trusted|i |f )|.*(://| @ ))", (checkout / lock).read_text(), re.M)


def test_bootstrap_installs_the_locked_uv(checkout: Path) -> None:
    everything, bootstrap = (locked(checkout / lock) for lock in LOCKS)
    assert bootstrap == {"uv": everything["uv"]}


def test_locks_fit_the_declared_dependencies(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    versions = locked(checkout / LOCKS[0])
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        version, _ = versions[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{text} is declared, {version} is locked: run `make lock`"


def test_ci_runs_the_suite(checkout: Path) -> None:
    script = checkout / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()
