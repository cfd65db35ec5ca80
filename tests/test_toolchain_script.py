"""`make toolchain` with stand-ins for Debian's tools: what it leaves behind, and what it says when it cannot work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT

SCRIPT = CHECKOUT / "scripts" / "toolchain.py"

# Counts its calls; a `download` leaves one archive in the current folder, as apt-get does.
APT_GET = """
echo "$*" >> "$LOG"
case "$*" in
    *update) exit 0 ;;
    *download*) echo archive > arm_1.0_all.deb ;;
esac
"""
# `dpkg-deb -x ARCHIVE FOLDER`: a compiler that does nothing, successfully.
DPKG_DEB = """
mkdir -p "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu"
for tool in gcc size; do
    printf '#!/bin/sh\\necho arm-none-eabi 1.0 "${LD_LIBRARY_PATH##*/}"\\n' > "$3/usr/bin/arm-none-eabi-$tool"
    chmod +x "$3/usr/bin/arm-none-eabi-$tool"
done
"""


class Machine:
    """A folder of programs that stands in for PATH, with the shell's few tools beside them."""

    def __init__(self, root: Path) -> None:
        self.programs = root / "programs"
        self.programs.mkdir()
        self.log = root / "log"
        self.folder = root / "project" / ".toolchain"

    def has(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}")
        path.chmod(0o755)

    def make_toolchain(self) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.programs), "LOG": str(self.log)}
        command = [sys.executable, str(SCRIPT), str(self.folder)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    def calls(self) -> list[str]:
        return [line.split()[3] for line in self.log.read_text().splitlines()]

    def left_over(self) -> list[str]:
        parent = self.folder.parent
        return sorted(path.name for path in parent.iterdir()) if parent.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def debian(machine: Machine) -> Machine:
    machine.has("apt-get", APT_GET)
    machine.has("dpkg-deb", DPKG_DEB)
    for name in ("dirname", "cat"):
        machine.has(name, f'exec {name} "$@"\n')
    return machine


def test_brings_a_working_folder_once(debian: Machine) -> None:
    first = debian.make_toolchain()
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == ".toolchain: arm-none-eabi 1.0 x86_64-linux-gnu\n"
    assert debian.calls() == ["download"]
    assert debian.make_toolchain().stdout == first.stdout
    assert debian.calls() == ["download"]
    assert debian.left_over() == [".toolchain"]


def test_the_folder_may_be_moved(debian: Machine, tmp_path: Path) -> None:
    debian.make_toolchain()
    moved = debian.folder.rename(tmp_path / "a b")
    done = subprocess.run([moved / "bin" / "arm-none-eabi-gcc"], capture_output=True, text=True, check=True)
    assert done.stdout == "arm-none-eabi 1.0 x86_64-linux-gnu\n"


@pytest.mark.parametrize("damage", ["bin/arm-none-eabi-gcc", "usr/bin/arm-none-eabi-size", "manifest.json"])
def test_a_damaged_folder_is_replaced(debian: Machine, damage: str) -> None:
    debian.make_toolchain()
    (debian.folder / damage).unlink()
    assert debian.make_toolchain().returncode == 0
    assert (debian.folder / damage).exists()
    assert debian.calls() == ["download", "download"]
    assert debian.left_over() == [".toolchain"]


def test_package_lists_are_fetched_when_the_machine_has_none(debian: Machine) -> None:
    refuse = "*machine.conf*) echo 'E: Unable to locate package' >&2; exit 100 ;;\n"
    debian.has("apt-get", APT_GET.replace("    *update)", f"    {refuse}    *update)"))
    assert debian.make_toolchain().returncode == 0
    assert debian.calls() == ["download", "update", "download"]


def test_no_debian(machine: Machine) -> None:
    done = machine.make_toolchain()
    assert done.returncode == 1
    assert done.stderr.startswith("error: no arm-none-eabi-gcc could be brought into ")
    assert "apt-get and dpkg-deb not found: this machine is no Debian or Ubuntu. " in done.stderr
    assert "`nas validate` then compiles with the ziglang wheel instead" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert machine.left_over() == []


def test_a_compiler_on_path_will_do_where_none_can_be_brought(machine: Machine) -> None:
    machine.has("arm-none-eabi-gcc", "echo gcc of this machine\n")
    done = machine.make_toolchain()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"arm-none-eabi-gcc of this machine is used: {machine.programs / 'arm-none-eabi-gcc'}\n"


def test_no_network(debian: Machine) -> None:
    debian.has("apt-get", "echo 'W: noise' >&2; echo \"E: no ${4}\" >&2; exit 100\n")
    done = debian.make_toolchain()
    assert done.returncode == 1
    assert "apt-get download failed: no download (apt-get update: no update)" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert debian.left_over() == []


def test_a_compiler_that_does_not_run_is_not_put_in_place(debian: Machine) -> None:
    debian.make_toolchain()
    (debian.folder / "bin" / "arm-none-eabi-gcc").unlink()
    before = sorted(debian.folder.rglob("*"))
    debian.has("dpkg-deb", DPKG_DEB.replace("echo arm", "echo cannot load libisl >&2; exit 127; echo arm"))
    done = debian.make_toolchain()
    assert done.returncode == 1
    assert "cannot load libisl" in done.stderr
    assert sorted(debian.folder.rglob("*")) == before
    assert debian.left_over() == [".toolchain"]
