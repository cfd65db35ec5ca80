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
    *simulate*) printf 'Inst libfdt1 (1.6)\\nInst libc6 [2] (2)\\nInst qemu-system-data (1)\\nConf libfdt1 (1.6)\\n' ;;
    *download*xtensa*) echo archive > xtensa_1.0_all.deb ;;
    *download*) echo archive > arm_1.0_all.deb ;;
esac
"""
XTENSA_PACKAGES = ["gcc-xtensa-lx106", "binutils-xtensa-lx106", "libgmp10", "libisl23", "libmpc3", "libmpfr6"]

# `dpkg-deb -x ARCHIVE FOLDER`: compilers and emulators that do nothing, successfully.
DPKG_DEB = """
mkdir -p "$3/usr/bin" "$3/usr/lib/x86_64-linux-gnu" "$3/usr/share/doc"
case "$2" in
    *xtensa*) tools="xtensa-lx106-elf-gcc qemu-system-xtensa qemu-system-arm qemu-system-alpha" ;;
    *) tools="arm-none-eabi-gcc arm-none-eabi-size" ;;
esac
for tool in $tools; do
    printf '#!/bin/sh\\necho %s 1.0 "${LD_LIBRARY_PATH##*/}"\\n' "$tool" > "$3/usr/bin/$tool"
    echo '[ "$*" != "-M help" ] || echo mps2-an386' >> "$3/usr/bin/$tool"
    chmod +x "$3/usr/bin/$tool"
done
"""
ARM_LINE = ".toolchain: arm-none-eabi-gcc 1.0 x86_64-linux-gnu\n"
XTENSA_LINE = ".toolchain/xtensa: xtensa-lx106-elf-gcc 1.0 x86_64-linux-gnu, qemu-system-xtensa 1.0 x86_64-linux-gnu\n"
ONCE = ["download", "--simulate", "download"]
"""What is asked of apt-get: the Arm compiler, what QEMU lacks, the tools for Xtensa."""


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
    assert first.stdout == ARM_LINE + XTENSA_LINE
    assert debian.calls() == ONCE
    assert debian.make_toolchain().stdout == first.stdout
    assert debian.calls() == ONCE
    assert debian.left_over() == [".toolchain"]


def test_the_emulator_comes_with_the_libraries_that_are_missing(debian: Machine) -> None:
    debian.make_toolchain()
    asked = debian.log.read_text().splitlines()[-1].split()
    assert asked[4:] == [*XTENSA_PACKAGES, "qemu-system-misc", "qemu-system-arm", "libfdt1"]
    # Emulators of other machines, and manuals, are not kept.
    kept = {path.name for path in (debian.folder / "xtensa" / "usr").rglob("*")}
    assert {"qemu-system-xtensa", "qemu-system-arm", "xtensa-lx106-elf-gcc"} <= kept
    assert not {"qemu-system-alpha", "share"} & kept


def test_an_emulator_on_path_is_taken(debian: Machine) -> None:
    for name in ("qemu-system-xtensa", "qemu-system-arm"):
        debian.has(name, "echo QEMU of this machine\necho mps2-an386\n")
    done = debian.make_toolchain()
    assert done.stdout.endswith("xtensa-lx106-elf-gcc 1.0 x86_64-linux-gnu, QEMU of this machine\n")
    assert debian.calls() == ["download", "download"]
    assert not [*(debian.folder / "xtensa" / "bin").glob("qemu*")]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("*download*xtensa*) echo 'E: no such package' >&2; exit 100 ;;", "apt-get download failed: no such package"),
        ("*simulate*) echo 'E: held packages' >&2; exit 100 ;;", "apt-get download failed: held packages"),
    ],
)
def test_without_the_tools_for_xtensa_the_others_work(debian: Machine, broken: str, reason: str) -> None:
    debian.has("apt-get", APT_GET.replace("    *update)", f"    {broken}\n    *update)"))
    done = debian.make_toolchain()
    assert (done.returncode, done.stdout) == (0, ARM_LINE)
    assert done.stderr.startswith(f"note: no tools for Xtensa could be brought into {debian.folder}: {reason}. ")
    assert "the tests that run it on the emulated core are skipped" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert debian.left_over() == [".toolchain"]


def test_an_emulator_that_does_not_run_is_not_put_in_place(debian: Machine) -> None:
    debian.has(
        "dpkg-deb",
        DPKG_DEB + '[ ! -f "$3/usr/bin/qemu-system-xtensa" ] || echo exit 1 > "$3/usr/bin/qemu-system-xtensa"',
    )
    done = debian.make_toolchain()
    assert (done.returncode, done.stdout) == (0, ARM_LINE)
    assert not (debian.folder / "xtensa").exists()


def test_an_emulator_without_the_board_is_not_put_in_place(debian: Machine) -> None:
    debian.has("dpkg-deb", DPKG_DEB.replace("mps2-an386", "mps2-an385"))
    done = debian.make_toolchain()
    assert (done.returncode, done.stdout) == (0, ARM_LINE)
    assert "qemu-system-arm has no board mps2-an386" in done.stderr


def test_the_folder_may_be_moved(debian: Machine, tmp_path: Path) -> None:
    debian.make_toolchain()
    moved = debian.folder.rename(tmp_path / "a b")
    done = subprocess.run([moved / "bin" / "arm-none-eabi-gcc"], capture_output=True, text=True, check=True)
    assert done.stdout == "arm-none-eabi-gcc 1.0 x86_64-linux-gnu\n"
    done = subprocess.run([moved / "xtensa" / "bin" / "qemu-system-xtensa"], capture_output=True, text=True, check=True)
    assert done.stdout == "qemu-system-xtensa 1.0 x86_64-linux-gnu\n"


@pytest.mark.parametrize("damage", ["bin/arm-none-eabi-gcc", "usr/bin/arm-none-eabi-size", "manifest.json"])
def test_a_damaged_folder_is_replaced(debian: Machine, damage: str) -> None:
    debian.make_toolchain()
    (debian.folder / damage).unlink()
    assert debian.make_toolchain().returncode == 0
    assert (debian.folder / damage).exists()
    assert debian.calls() == [*ONCE, "download"]  # what is sound stays
    assert (debian.folder / "xtensa" / "bin" / "qemu-system-xtensa").exists()
    assert debian.left_over() == [".toolchain"]


@pytest.mark.parametrize(
    "damage", ["usr/bin/qemu-system-xtensa", "usr/bin/qemu-system-arm", "usr/bin/xtensa-lx106-elf-gcc", "manifest.json"]
)
def test_a_damaged_part_is_replaced(debian: Machine, damage: str) -> None:
    debian.make_toolchain()
    (debian.folder / "xtensa" / damage).unlink()
    assert debian.make_toolchain().stdout == ARM_LINE + XTENSA_LINE
    assert debian.calls() == [*ONCE, "--simulate", "download"]
    assert debian.left_over() == [".toolchain"]


def test_package_lists_are_fetched_when_the_machine_has_none(debian: Machine) -> None:
    refuse = "*machine.conf*) echo 'E: Unable to locate package' >&2; exit 100 ;;\n"
    debian.has("apt-get", APT_GET.replace("    *update)", f"    {refuse}    *update)"))
    assert debian.make_toolchain().returncode == 0
    assert debian.calls() == ["download", "update", "download", "--simulate", "update", "--simulate", "download"]


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
    assert done.returncode == 0
    assert done.stdout == f"arm-none-eabi-gcc of this machine is used: {machine.programs / 'arm-none-eabi-gcc'}\n"
    assert "note: no tools for Xtensa" in done.stderr
    for name in ("xtensa-lx106-elf-gcc", "qemu-system-xtensa", "qemu-system-arm"):
        machine.has(name, "echo of this machine\n")
    done = machine.make_toolchain()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"xtensa-lx106-elf-gcc of this machine is used: {machine.programs}" in done.stdout


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
    debian.has("dpkg-deb", DPKG_DEB.replace("echo %s", "echo cannot load libisl >&2; exit 127; echo %s"))
    done = debian.make_toolchain()
    assert done.returncode == 1
    assert "cannot load libisl" in done.stderr
    assert sorted(debian.folder.rglob("*")) == before
    assert debian.left_over() == [".toolchain"]
