#!/usr/bin/env python3
"""Bring Debian's bare-metal cross compilers, and an emulator, into the ignored folder `.toolchain/`, without root.

    python3 scripts/toolchain.py [FOLDER]

The packages come from the archive that this machine's apt is set up for, which checks their signatures;
they are unpacked, not installed. `.toolchain/bin` then holds one small command per tool for the Cortex-M4, and
`.toolchain/xtensa/bin` those for Xtensa: its compiler and QEMU, with the libraries that this machine lacks, and the
QEMU for the Cortex-M4 that shares them. A QEMU on PATH is taken instead. The folder may be moved. A folder that already
works is left alone; a broken or outdated one is replaced only by one that was unpacked completely and has compiled,
linked (and for Xtensa, run) a program. Where the tools for Xtensa cannot be had, everything else works. Standard
library only: runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# The compilers' own shared libraries come along because a slim Debian lacks them; libc, libstdc++, zlib and zstd are
# needed by dpkg and apt themselves and are always there.
COMPILER_LIBRARIES = ("libgmp10", "libisl23", "libmpc3", "libmpfr6")
BINUTILS = ("gcc", "as", "ld", "ar", "nm", "objcopy", "objdump", "readelf", "size")
LIBRARIES = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")
MANIFEST = "manifest.json"

EMULATOR = "qemu-system-xtensa"
ARM_EMULATOR = "qemu-system-arm"
ARM_BOARD = "mps2-an386"
# With Debian's package of each.
EMULATORS = {EMULATOR: "qemu-system-misc", ARM_EMULATOR: "qemu-system-arm"}
# Manuals and translations; compilers of other languages, link-time optimisation; emulators of other machines.
UNUSED = (
    "usr/share",
    "usr/lib/gcc/*/*/cc1plus",
    "usr/lib/gcc/*/*/d21",
    "usr/lib/gcc/*/*/lto1",
    "usr/bin/*-lto-dump",
    "usr/bin/qemu-system-*",
)

# LD_LIBRARY_PATH is inherited by what gcc starts: cc1 (gmp, mpfr, mpc, isl), as and ld.
WRAPPER = """#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "$root/usr/bin/{tool}" "$@"
"""

ARM_PROGRAM = """#include <stdint.h>
int64_t ratio(int64_t a, int64_t b) { return a / b; }
int main(void) { return (int)ratio(9, 3); }
"""

# Ends the emulation: call 1 of the simulator, with exit code 0.
XTENSA_PROGRAM = """
void start(void)
{
    register int number __asm__("a2") = 1;
    register int code __asm__("a3") = 0;
    __asm__ volatile("simcall" : "+r"(number), "+r"(code));
}
"""
EMULATOR_SECONDS = 60

ARM_CONSEQUENCE = (
    "`nas validate` then compiles with the ziglang wheel instead, but the tests that compare both compilers need "
    "arm-none-eabi-gcc: install it, or put a folder with bin/arm-none-eabi-gcc into NAS_TOOLCHAIN."
)
XTENSA_CONSEQUENCE = (
    "`nas validate` then checks what is exported for the ESP32-S2 on this machine alone, and the tests that run it on "
    "the emulated core are skipped."
)


class ToolchainError(Exception):
    """The compiler could not be brought; the text is one sentence for the user."""


def command_output(command: list[str], **options: object) -> str:
    """Standard output of `command`.

    Raises:
        ToolchainError: with the last line it printed on standard error.
    """
    environment = dict(os.environ, LC_ALL="C")
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, **options)  # type: ignore[call-overload]
    except subprocess.TimeoutExpired as error:
        raise ToolchainError(f"{Path(command[0]).name} had not ended after {error.timeout:g} seconds") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("W:")]
        raise ToolchainError(
            said[-1].strip().removeprefix("E: ") if said else f"{command[0]} ended with exit code {done.returncode}"
        )
    return str(done.stdout)


def check_arm(folder: Path) -> str:
    """Compile and link a program for the Cortex-M4 in `folder` and return the compiler's first line of `--version`."""
    gcc = str(folder / "bin" / "arm-none-eabi-gcc")
    version = command_output([gcc, "--version"]).splitlines()[0]
    with tempfile.TemporaryDirectory() as scratch:
        elf = str(Path(scratch) / "check.elf")
        flags = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-O2", "-ffreestanding"]
        # Division of 64-bit integers makes the link need libgcc's copy for this core.
        link = ["-nostdlib", "-Wl,--entry=main", "-x", "c", "-", "-x", "none", "-lgcc", "-o", elf]
        command_output([gcc, *flags, *link], input=ARM_PROGRAM)
        command_output([str(folder / "bin" / "arm-none-eabi-size"), elf])
    return version


def check_xtensa(folder: Path) -> str:
    """Compile, link and emulate a program for the LX106; returns the first lines of both tools' `--version`.

    Of the other core's emulator, only whether it starts and has the board.
    """
    gcc = str(folder / "bin" / "xtensa-lx106-elf-gcc")
    qemu = shutil.which(EMULATOR) or str(folder / "bin" / EMULATOR)
    versions = [command_output([tool, "--version"]).splitlines()[0] for tool in (gcc, qemu)]
    with tempfile.TemporaryDirectory() as scratch:
        elf = str(Path(scratch) / "check.elf")
        link = ["-nostdlib", "-Wl,--entry=start", "-Wl,-Ttext=0x50000000", "-x", "c", "-", "-x", "none", "-lgcc", "-o"]
        command_output([gcc, "-O2", "-ffreestanding", *link, elf], input=XTENSA_PROGRAM)
        machine = ["-M", "sim", "-cpu", "lx106", "-semihosting", "-display", "none", "-serial", "none"]
        command_output([qemu, *machine, "-monitor", "none", "-kernel", elf], input="", timeout=EMULATOR_SECONDS)
    other = shutil.which(ARM_EMULATOR) or str(folder / "bin" / ARM_EMULATOR)
    if ARM_BOARD not in command_output([other, "-M", "help"]):
        raise ToolchainError(f"{ARM_EMULATOR} has no board {ARM_BOARD}")
    return ", ".join(versions)


@dataclass(frozen=True)
class Part:
    """Tools for one core, which are brought together or not at all.

    Attributes:
        name: for people.
        folder: where they lie in the folder of all.
        packages: Debian's.
        emulators: packages that come with those libraries of their dependencies that this machine lacks.
        tools: commands they give.
        check: proves that they work in a folder and returns their versions; raises ToolchainError.
    """

    name: str
    folder: str
    packages: tuple[str, ...]
    emulators: tuple[str, ...]
    tools: tuple[str, ...]
    check: Callable[[Path], str]

    def place(self, root: Path) -> Path:
        """Where it belongs, below the folder `root` of all tools."""
        return root / self.folder if self.folder else root


def arm() -> Part:
    """What compiles for the Cortex-M4."""
    packages = ("gcc-arm-none-eabi", "binutils-arm-none-eabi", *COMPILER_LIBRARIES)
    return Part("Cortex-M4", "", packages, (), tuple(f"arm-none-eabi-{tool}" for tool in BINUTILS), check_arm)


def xtensa() -> Part:
    """What compiles for the Xtensa LX106, and the emulators of both cores unless they are on PATH."""
    packages = ("gcc-xtensa-lx106", "binutils-xtensa-lx106", *COMPILER_LIBRARIES)
    tools = tuple(f"xtensa-lx106-elf-{tool}" for tool in BINUTILS)
    absent = [emulator for emulator in EMULATORS if shutil.which(emulator) is None]
    emulators = tuple(EMULATORS[emulator] for emulator in absent)
    return Part("Xtensa", "xtensa", packages, emulators, (*tools, *absent), check_xtensa)


def recipe(part: Part) -> dict[str, list[str]]:
    """What the manifest of a folder says of how it was made."""
    return {"packages": [*part.packages, *part.emulators], "tools": list(part.tools)}


def is_ready(part: Part, folder: Path) -> str | None:
    """The versions of `part` when `folder` was made by this recipe and works, else None."""
    try:
        made = json.loads((folder / MANIFEST).read_text())
        if any(not set(wanted) <= set(made[key]) for key, wanted in recipe(part).items()):
            return None
        return part.check(folder)
    except (OSError, ValueError, KeyError, TypeError, ToolchainError):
        return None


def apt_get(private: Path, own_lists: bool) -> list[str]:
    """An `apt-get` that writes only below `private`, with this machine's sources and keys.

    `own_lists` takes the package lists from `private` too instead of the machine's: those may be missing or stale,
    and only root may refresh them.
    """
    settings = {"Dir::Cache": private / "cache", "Debug::NoLocking": "true", "Acquire::Retries": "3"}
    (private / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    if own_lists:
        settings["Dir::State::Lists"] = private / "lists"
        (private / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    # Hooks that a machine runs after an update want root and concern the machine's own lists.
    lines = ["#clear APT::Update::Post-Invoke;", "#clear APT::Update::Post-Invoke-Success;"]
    if os.geteuid() == 0:
        lines.append('APT::Sandbox::User "root";')  # root's scratch folder is closed to the _apt user
    lines += [f'{name} "{value}";' for name, value in settings.items()]
    configuration = private / ("own.conf" if own_lists else "machine.conf")
    configuration.write_text("\n".join(lines) + "\n")
    return ["apt-get", "-q", "-c", str(configuration)]


def missing_libraries(apt: list[str], packages: tuple[str, ...]) -> list[str]:
    """Packages of libraries that `packages` need and this machine lacks, as apt would install them.

    Not libc: programs are started by the machine's own loader, which fits its own libc alone.
    """
    plan = command_output([*apt, "--simulate", "--no-install-recommends", "install", *packages])
    return [name for name in re.findall(r"^Inst (\S+) ", plan, re.MULTILINE) if name[:3] == "lib" and name != "libc6"]


def download(part: Part, private: Path) -> list[Path]:
    """Fetch the archives of the part's packages into `private`.

    Raises:
        ToolchainError: when apt reaches no archive or its archive lacks a package.
    """
    debs = private / "debs"
    debs.mkdir()

    def fetch(apt: list[str]) -> None:
        libraries = missing_libraries(apt, part.emulators) if part.emulators else []
        wanted = dict.fromkeys([*part.packages, *part.emulators, *libraries])
        command_output([*apt, "download", *wanted], cwd=debs)

    try:
        fetch(apt_get(private, own_lists=False))
    except ToolchainError:
        apt = apt_get(private, own_lists=True)
        complaint = ""
        try:
            command_output([*apt, "update"])
        except ToolchainError as error:  # one broken source among several need not matter: the download decides
            complaint = f" (apt-get update: {error})"
        try:
            fetch(apt)
        except ToolchainError as error:
            raise ToolchainError(f"apt-get download failed: {error}{complaint}") from None
    return sorted(debs.glob("*.deb"))


def unpack(part: Part, archives: list[Path], folder: Path) -> None:
    """Unpack the part's `archives` into the new `folder` and write its commands and manifest."""
    (folder / "bin").mkdir(parents=True)
    for archive in archives:
        command_output(["dpkg-deb", "-x", str(archive), str(folder)])
    folders = [path for pattern in LIBRARIES for path in sorted(folder.glob(pattern))]
    libraries = ":".join(f"$root/{path.relative_to(folder)}" for path in folders)
    for tool in part.tools:
        wrapper = folder / "bin" / tool
        wrapper.write_text(WRAPPER.format(tool=tool, libraries=libraries))
        wrapper.chmod(0o755)
    for path in [path for pattern in UNUSED for path in folder.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in part.tools:
            path.unlink()
    made = recipe(part) | {"archives": [path.name for path in archives]}
    (folder / MANIFEST).write_text(json.dumps(made, indent=2) + "\n")


def put_in_place(unpacked: Path, folder: Path) -> None:
    """Rename `unpacked` to `folder`; whatever lay there goes into the scratch folder that holds `unpacked`.

    But the other part's folder stays, where it lies in the one that is replaced.
    """
    if folder.exists():
        inner = folder / xtensa().folder
        if inner.exists():
            os.replace(inner, unpacked / inner.name)
        os.replace(folder, unpacked.with_name("replaced"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unpacked, folder)


def bring(part: Part, root: Path) -> str:
    """Make `part` work below `root` and return its versions.

    Raises:
        ToolchainError: when that is impossible here; what was there is then as it was.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise ToolchainError(f"{' and '.join(missing)} not found: this machine is no Debian or Ubuntu")
    root.parent.mkdir(parents=True, exist_ok=True)
    # Beside the final folder, so that the rename stays within one file system.
    with tempfile.TemporaryDirectory(prefix=f"{root.name}.part-", dir=root.parent) as scratch:
        private = Path(scratch)
        unpacked = private / "unpacked"
        unpack(part, download(part, private), unpacked)
        version = part.check(unpacked)
        put_in_place(unpacked, part.place(root))
    return version


def make(part: Part, root: Path) -> str:
    """One line for people on where the part's tools are.

    Raises:
        ToolchainError: they are nowhere.
        OSError: nothing can be written.
    """
    place = part.place(root)
    try:
        return f"{place.relative_to(root.parent)}: {is_ready(part, place) or bring(part, root)}"
    except (ToolchainError, OSError):
        chosen = os.environ.get("NAS_TOOLCHAIN")
        places = [*([f"{chosen}/bin"] if chosen else []), os.environ.get("PATH", os.defpath)]
        needed = [tool for tool in part.tools if tool in EMULATORS or tool.endswith("-gcc")]
        installed = [shutil.which(tool, path=os.pathsep.join(places)) for tool in needed]
        if None in installed:
            raise
        return f"{part.tools[0]} of this machine is used: {installed[0]}"


def main(arguments: list[str]) -> int:
    """Command line; returns the exit code."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    root = Path(arguments[0] if arguments else Path(__file__).resolve().parent.parent / ".toolchain").absolute()
    try:
        print(make(arm(), root))
    except (ToolchainError, OSError) as error:
        print(f"error: no arm-none-eabi-gcc could be brought into {root}: {error}. {ARM_CONSEQUENCE}", file=sys.stderr)
        return 1
    try:
        print(make(xtensa(), root))
    except (ToolchainError, OSError) as error:
        print(f"note: no tools for Xtensa could be brought into {root}: {error}. {XTENSA_CONSEQUENCE}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
