from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from firmware import toolchain
from firmware.toolchain import Compiler, find_arm_compiler, find_host_compiler, find_tool, run_tool
from search_spaces.errors import NasError

# Division of 64-bit integers calls the compiler's run-time library; the loop becomes a multiply-accumulate.
PROGRAM = """
#include <stdint.h>
int64_t ratio(int64_t a, int64_t b) { return a / b; }
int32_t dot(const int8_t *a, const int8_t *b, int32_t n) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) { sum += a[i] * b[i]; }
    return sum;
}
float half(float x) { return x * 0.5f; }
"""


@pytest.fixture
def no_gcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine where no cross compiler is to be found."""
    monkeypatch.delenv("NAS_TOOLCHAIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain, "_folders", lambda: iter([tmp_path]))


def fake_tool(folder: Path, name: str = "arm-none-eabi-gcc", script: str = "echo fake 1.0") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def compile_for_m4(compiler: Compiler, folder: Path) -> Path:
    source = folder / "dot.c"
    source.write_text(PROGRAM)
    out = folder / "dot.o"
    flags = [*toolchain.ARM_CFLAGS[compiler.kind], *toolchain.WARNINGS, "-Werror"]
    run_tool([*compiler.cc, *flags, "-c", source, "-o", out])
    return out


def check_object(path: Path) -> None:
    with path.open("rb") as file:
        elf = ELFFile(file)
        assert (elf["e_machine"], elf.elfclass, elf.little_endian) == ("EM_ARM", 32, True)
        attributes = {
            attribute.tag: attribute.value
            for subsection in elf.get_section_by_name(".ARM.attributes").iter_subsections()
            for part in subsection.iter_subsubsections()
            for attribute in part.iter_attributes()
        }
        names = {section.name for section in elf.iter_sections()}
    assert attributes["TAG_CPU_ARCH"] == 13  # ARMv7E-M, Arm's "Addenda to the ABI", table of Tag_CPU_arch
    assert attributes["TAG_ABI_VFP_ARGS"] == 1  # floating-point arguments in registers
    assert {".text.dot", ".text.ratio", ".text.half"} <= names  # one section per function


def test_gcc_compiles_for_the_cortex_m4(arm_gcc: Compiler, tmp_path: Path) -> None:
    assert arm_gcc.kind == "gcc"
    assert "arm-none-eabi-gcc" in arm_gcc.version
    check_object(compile_for_m4(arm_gcc, tmp_path))


def test_gcc_links_with_its_run_time_library(arm_gcc: Compiler, tmp_path: Path) -> None:
    out = tmp_path / "dot.elf"
    run_tool([*arm_gcc.cc, "-nostdlib", "-Wl,--entry=ratio", compile_for_m4(arm_gcc, tmp_path), "-lgcc", "-o", out])
    with out.open("rb") as file:
        symbols = {symbol.name for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols()}
    assert "__aeabi_ldivmod" in symbols


def test_zig_compiles_for_the_cortex_m4(tmp_path: Path) -> None:
    compiler = find_arm_compiler("zig")
    assert compiler.kind == "zig"
    assert compiler.version.startswith("zig ")
    check_object(compile_for_m4(compiler, tmp_path))


def test_host_compiler_makes_a_shared_library(tmp_path: Path) -> None:
    import ctypes

    compiler = find_host_compiler()
    source, out = tmp_path / "dot.c", tmp_path / "dot.so"
    source.write_text(PROGRAM)
    run_tool([*compiler.cc, *toolchain.HOST_CFLAGS[compiler.kind], "-shared", source, "-o", out])
    vector = (ctypes.c_int8 * 3)(1, -2, 100)
    assert ctypes.CDLL(str(out)).dot(vector, vector, 3) == 1 + 4 + 10_000


@pytest.mark.usefixtures("no_gcc")
def test_without_gcc_zig_is_taken() -> None:
    assert find_arm_compiler().kind == "zig"
    assert find_host_compiler() == Compiler("zig", (sys.executable, "-m", "ziglang", "cc"), find_arm_compiler().version)


@pytest.mark.usefixtures("no_gcc")
def test_a_demand_for_gcc_that_cannot_be_met_names_the_command() -> None:
    with pytest.raises(NasError, match=r"arm-none-eabi-gcc was not found: run `make toolchain`, or set NAS_TOOLCHAIN"):
        find_arm_compiler("gcc")


def test_unknown_preference() -> None:
    with pytest.raises(NasError, match="compiler 'iar' is not known: choose 'gcc' or 'zig'"):
        find_arm_compiler("iar")  # type: ignore[arg-type]


def test_order_of_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    on_path = fake_tool(tmp_path / "path")
    monkeypatch.setenv("PATH", str(on_path.parent))
    monkeypatch.delenv("NAS_TOOLCHAIN", raising=False)
    monkeypatch.setattr(toolchain, "__file__", str(tmp_path / "installed" / "firmware" / "toolchain.py"))
    assert find_tool("arm-none-eabi-gcc") == str(on_path)
    of_checkout = fake_tool(tmp_path / "installed" / ".toolchain" / "bin")
    assert find_tool("arm-none-eabi-gcc") == str(of_checkout)
    of_parent = fake_tool(tmp_path / "project" / ".toolchain" / "bin")
    assert find_tool("arm-none-eabi-gcc") == str(of_parent)
    chosen = fake_tool(tmp_path / "chosen" / "bin")
    monkeypatch.setenv("NAS_TOOLCHAIN", str(tmp_path / "chosen"))
    assert find_tool("arm-none-eabi-gcc") == str(chosen)
    with pytest.raises(NasError, match=r"NAS_TOOLCHAIN is '.*chosen', but there is no program .*arm-none-eabi-size"):
        find_tool("arm-none-eabi-size")


def test_a_file_that_is_no_program_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NAS_TOOLCHAIN", raising=False)
    fake_tool(tmp_path / ".toolchain" / "bin", "arm-none-eabi-nothing").chmod(0o644)
    monkeypatch.chdir(tmp_path)
    assert find_tool("arm-none-eabi-nothing") is None


def test_a_broken_compiler_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NAS_TOOLCHAIN", str(tmp_path))
    fake_tool(tmp_path / "bin", script="echo 'error while loading shared libraries: libisl.so.23' >&2; exit 127")
    with pytest.raises(NasError, match=r"arm-none-eabi-gcc failed with exit code 127: error while loading .*libisl"):
        find_arm_compiler()
    fake_tool(tmp_path / "bin", script="exit 0")
    with pytest.raises(NasError, match="printed nothing"):
        find_arm_compiler()


def test_the_first_errors_of_a_compiler_are_shown(tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text("#warning odd\n" + "".join(f"int f{i}(void) {{ return missing{i}; }}\n" for i in range(5)))
    with pytest.raises(NasError) as caught:
        run_tool([*find_host_compiler().cc, "-c", source, "-o", tmp_path / "bad.o"])
    text = str(caught.value)
    assert "missing0" in text
    assert "missing2" in text
    assert "missing3" not in text
    assert "odd" not in text
    assert "\n" not in text


def test_run_tool_passes_input_and_folder(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    assert run_tool(["cat"], stdin="int x;") == "int x;"
    assert run_tool(["ls"], cwd=tmp_path) == "here\n"
    assert run_tool(["cat"]) == ""  # never waits for the terminal


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"nothing-here does not start: No such file"):
        run_tool([tmp_path / "nothing-here"])


def test_a_silent_failure_still_makes_a_sentence() -> None:
    false = shutil.which("false")
    assert false is not None
    with pytest.raises(NasError, match="false failed with exit code 1: it printed no reason"):
        run_tool([false])
