#!/usr/bin/env python3
"""Bring Debian's bare-metal cross compilers into the ignored folder `.toolchain/`, without root.

    python3 scripts/toolchain.py [FOLDER]

The packages come from the archive that this machine's apt is set up for, which checks their signatures;
they are unpacked, not installed. `.toolchain/bin` then holds one small command per tool, and the folder may be
moved. A folder that already works is left alone; a broken or outdated one is replaced only by one that was
unpacked completely and has compiled and linked a program. Standard library only: runs before anything is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The compiler's own shared libraries come along because a slim Debian lacks them; libc, libstdc++, zlib and zstd are
# needed by dpkg and apt themselves and are always there.
PACKAGES = ("gcc-arm-none-eabi", "binutils-arm-none-eabi", "libgmp10", "libisl23", "libmpc3", "libmpfr6")
TOOLS = tuple(
    f"arm-none-eabi-{tool}" for tool in ("gcc", "as", "ld", "ar", "nm", "objcopy", "objdump", "readelf", "size")
)
LIBRARIES = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")
MANIFEST = "manifest.json"

# LD_LIBRARY_PATH is inherited by what gcc starts: cc1 (gmp, mpfr, mpc, isl), as and ld.
WRAPPER = """#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
LD_LIBRARY_PATH="{libraries}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}" exec "$root/usr/bin/{tool}" "$@"
"""

PROGRAM = """#include <stdint.h>
int64_t ratio(int64_t a, int64_t b) { return a / b; }
int main(void) { return (int)ratio(9, 3); }
"""

CONSEQUENCE = (
    "`nas validate` then compiles with the ziglang wheel instead, but the tests that compare both compilers need "
    "arm-none-eabi-gcc: install it, or put a folder with bin/arm-none-eabi-gcc into NAS_TOOLCHAIN."
)


class ToolchainError(Exception):
    """The compiler could not be brought; the text is one sentence for the user."""


def command_output(command: list[str], **options: object) -> str:
    """Standard output of `command`.

    Raises:
        ToolchainError: with the last line it printed on standard error.
    """
    environment = dict(os.environ, LC_ALL="C")
    done = subprocess.run(command, capture_output=True, text=True, env=environment, **options)  # type: ignore[call-overload]
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("W:")]
        raise ToolchainError(
            said[-1].strip().removeprefix("E: ") if said else f"{command[0]} ended with exit code {done.returncode}"
        )
    return str(done.stdout)


def check(folder: Path) -> str:
    """Compile and link a program for the Cortex-M4 in `folder` and return the compiler's first line of `--version`."""
    gcc = str(folder / "bin" / "arm-none-eabi-gcc")
    version = command_output([gcc, "--version"]).splitlines()[0]
    with tempfile.TemporaryDirectory() as scratch:
        elf = str(Path(scratch) / "check.elf")
        flags = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-O2", "-ffreestanding"]
        # Division of 64-bit integers makes the link need libgcc's copy for this core.
        link = ["-nostdlib", "-Wl,--entry=main", "-x", "c", "-", "-x", "none", "-lgcc", "-o", elf]
        command_output([gcc, *flags, *link], input=PROGRAM)
        command_output([str(folder / "bin" / "arm-none-eabi-size"), elf])
    return version


def is_ready(folder: Path) -> str | None:
    """The compiler's version when `folder` was made by this recipe and works, else None."""
    try:
        recipe = json.loads((folder / MANIFEST).read_text())
        if recipe["packages"] != list(PACKAGES) or recipe["tools"] != list(TOOLS):
            return None
        return check(folder)
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


def download(private: Path) -> list[Path]:
    """Fetch the packages' archives into `private`.

    Raises:
        ToolchainError: when apt reaches no archive or its archive lacks a package.
    """
    debs = private / "debs"
    debs.mkdir()
    try:
        command_output([*apt_get(private, own_lists=False), "download", *PACKAGES], cwd=debs)
    except ToolchainError:
        apt = apt_get(private, own_lists=True)
        complaint = ""
        try:
            command_output([*apt, "update"])
        except ToolchainError as error:  # one broken source among several need not matter: the download decides
            complaint = f" (apt-get update: {error})"
        try:
            command_output([*apt, "download", *PACKAGES], cwd=debs)
        except ToolchainError as error:
            raise ToolchainError(f"apt-get download failed: {error}{complaint}") from None
    return sorted(debs.glob("*.deb"))


def unpack(archives: list[Path], folder: Path) -> None:
    """Unpack `archives` into the new `folder` and write its commands and manifest."""
    (folder / "bin").mkdir(parents=True)
    for archive in archives:
        command_output(["dpkg-deb", "-x", str(archive), str(folder)])
    folders = [path for pattern in LIBRARIES for path in sorted(folder.glob(pattern))]
    libraries = ":".join(f"$root/{path.relative_to(folder)}" for path in folders)
    for tool in TOOLS:
        wrapper = folder / "bin" / tool
        wrapper.write_text(WRAPPER.format(tool=tool, libraries=libraries))
        wrapper.chmod(0o755)
    shutil.rmtree(folder / "usr" / "share", ignore_errors=True)  # manuals and translations
    made = {"packages": list(PACKAGES), "tools": list(TOOLS), "archives": [path.name for path in archives]}
    (folder / MANIFEST).write_text(json.dumps(made, indent=2) + "\n")


def put_in_place(unpacked: Path, folder: Path) -> None:
    """Rename `unpacked` to `folder`; whatever lay there goes into the scratch folder that holds `unpacked`."""
    if folder.exists():
        os.replace(folder, unpacked.with_name("replaced"))
    os.replace(unpacked, folder)


def bring(folder: Path) -> str:
    """Make `folder` a working tool chain and return its compiler's version line.

    Raises:
        ToolchainError: when that is impossible here; `folder` is then as it was.
    """
    missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if missing:
        raise ToolchainError(f"{' and '.join(missing)} not found: this machine is no Debian or Ubuntu")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the final folder, so that the rename stays within one file system.
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.part-", dir=folder.parent) as scratch:
        private = Path(scratch)
        unpacked = private / "unpacked"
        unpack(download(private), unpacked)
        version = check(unpacked)
        put_in_place(unpacked, folder)
    return version


def main(arguments: list[str]) -> int:
    """Command line; returns the exit code."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0] if arguments else Path(__file__).resolve().parent.parent / ".toolchain").absolute()
    try:
        version = is_ready(folder) or bring(folder)
    except (ToolchainError, OSError) as error:
        chosen = os.environ.get("NAS_TOOLCHAIN")
        places = [*([f"{chosen}/bin"] if chosen else []), os.environ.get("PATH", os.defpath)]
        installed = shutil.which(TOOLS[0], path=os.pathsep.join(places))
        if installed is not None:
            print(f"{TOOLS[0]} of this machine is used: {installed}")
            return 0
        print(f"error: no arm-none-eabi-gcc could be brought into {folder}: {error}. {CONSEQUENCE}", file=sys.stderr)
        return 1
    print(f"{folder.name}: {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
